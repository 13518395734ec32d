-- The quotas of a gathered type: how many jobs, or points of their costs, may be leased in each local day or hour.
-- Quotas are a part of the type's settings (type_settings.lua), in the list settings.quotas, which is nil for none.
--
-- quota  unit 1 (1 job, 2 cost), period 1 (d day, h hour), quota 7, used 7, then of the period that `used` counts:
--        begins 7, ends 7, number of the first lease 7, is_out 1; begins 7 and used 7 of the period that was counted
--        before it; length 1 and tz
--
-- Periods are those of the store's clock, and their bounds come from a calendar (periods.lua). While the calendar does
-- not know the present period, the quota is stale, and nothing is leased. A lease needs `used` + units <= quota. A job
-- that costs more than the whole quota is leased alone, as the first of a period, so that none waits for ever. When
-- the next job does not fit, the quota is out until the period ends, and no job of the type overtakes.
--
-- If the store's clock goes back to an earlier period, what was used stays used, because the clock may have been ahead.
-- The period before is remembered, so that a clock that goes back and forth allows no period more than its quota.
--
-- Uses: shortcuts, clock, periods

local quotas = {
  JOB = 1, COST = 2,  -- units
  FORMAT = '>BBI7I7I7I7I7BI7I7Bc0',
  RETRY_US = 1000000,        -- how soon a type with a stale quota looks again
  LOOK_AGAIN_US = 30000000,  -- the longest wait until a dequeue checks again, because the store's clock may step
}

-- Return the name of the calendar of a quota.
function quotas.calendar(quota)
  return quota.period .. quota.tz
end

-- Return a new quota of which nothing is used. Its period is not known until it is opened.
function quotas.new(unit_of, period, number, tz)
  return {unit = unit_of, period = period, quota = number, tz = tz, used = 0, begins = 0, ends = 0, first = 0,
    is_out = false, past_begins = 0, past_used = 0}
end

-- Return the quotas of a record from a position on, and where they end. The list is nil for none.
function quotas.unpack(raw, count, at)
  if count == 0 then return nil, at end
  local list = {}
  for index = 1, count do
    local unit_of, period, number, used, begins, ends, first, is_out, past_begins, past_used, tz
    unit_of, period, number, used, begins, ends, first, is_out, past_begins, past_used, tz, at =
      unpack_bytes(quotas.FORMAT, raw, at)
    list[index] = {unit = unit_of, period = string.char(period), quota = number, tz = tz, used = used,
      begins = begins, ends = ends, first = first, is_out = is_out == 1, past_begins = past_begins,
      past_used = past_used}
  end
  return list, at
end

-- Return the bytes of quotas.
function quotas.pack(list)
  local parts = {}
  for index, quota in ipairs(list) do
    parts[index] = pack_bytes(quotas.FORMAT, quota.unit, string.byte(quota.period), quota.quota, quota.used,
      quota.begins, quota.ends, quota.first, quota.is_out and 1 or 0, quota.past_begins, quota.past_used, #quota.tz,
      quota.tz)
  end
  return table.concat(parts)
end

-- Count another period from now on. lease: the number of the newest lease.
local function move(tx, quota, store_time, lease)
  local begins, ends = periods.find(tx, quotas.calendar(quota), store_time)
  quota.is_stale = not begins
  if quota.is_stale then return false end
  local used = quota.past_begins == begins and quota.past_used or 0
  if begins < quota.begins then used = math.max(used, quota.used) end
  if quota.begins > 0 and begins ~= quota.begins then
    quota.past_begins, quota.past_used = quota.begins, quota.used
  end
  quota.begins, quota.ends, quota.first = begins, ends, lease + 1
  quota.used, quota.is_out = used, used >= quota.quota
  return true
end

-- Set settings.quota_at: when all quotas next allow a lease (the partition's time, µs); 0 for any time.
local function set_quota_at(settings)
  local at = 0
  for _, quota in ipairs(settings.quotas) do
    if (quota.is_out or quota.is_stale) and quota.until_at > at then at = quota.until_at end
  end
  settings.quota_at = at
end

-- Prepare the quotas of a call's settings, if there are any: each counts the period in which the call runs.
-- lease: the number of the type's newest lease.
function quotas.open(tx, settings, lease)
  if not settings.quotas then return end
  local store_time = clock.store_time(tx)
  for _, quota in ipairs(settings.quotas) do
    if (store_time >= quota.ends or store_time < quota.begins) and move(tx, quota, store_time, lease) then
      settings.is_changed, settings.is_earlier = true, true
    end
    quota.until_at = quota.is_stale and tx.now + quotas.RETRY_US or clock.partition_time(tx, quota.ends)
  end
  set_quota_at(settings)
end

-- Return how many jobs may be leased at once if each costs one point, at most `count`.
function quotas.leases_allowed(list, count)
  for _, quota in ipairs(list) do count = math.min(count, quota.quota - quota.used) end
  return count
end

-- Return true if a job may be leased. Otherwise the quotas that it does not fit in are out.
function quotas.admit(settings, cost)
  local fits = true
  for _, quota in ipairs(settings.quotas) do
    local units = quota.unit == quotas.COST and cost or 1
    if quota.used > 0 and quota.used + units > quota.quota then
      fits, quota.is_out, settings.is_changed = false, true, true
    end
  end
  if not fits then set_quota_at(settings) end
  return fits
end

-- Use the quotas for the lease of a job.
function quotas.lease(settings, cost)
  for _, quota in ipairs(settings.quotas) do
    quota.used = quota.used + (quota.unit == quotas.COST and cost or 1)
    if quota.used >= quota.quota then quota.is_out = true end
  end
  set_quota_at(settings)
end

-- Correct the cost of a leased job (difference in points) in the quotas whose present period has its lease.
function quotas.correct(settings, difference, token)
  local number = unpack_bytes('>I8', token)
  for _, quota in ipairs(settings.quotas) do
    if quota.unit == quotas.COST and number >= quota.first then
      quota.used, settings.is_changed = math.max(quota.used + difference, 0), true
      if difference < 0 then
        if quota.is_out and quota.used < quota.quota then settings.is_earlier = true end
        quota.is_out = false
      end
      quota.is_out = quota.is_out or quota.used >= quota.quota
    end
  end
  set_quota_at(settings)
end

-- Replace all quotas. A quota whose unit, period and zone an old one had goes on with what was used.
-- list: new quotas. lease: the number of the type's newest lease. bounds: those of calendars, by name.
function quotas.replace(tx, settings, list, lease, bounds)
  local changes = {}
  for _, old in ipairs(settings.quotas or {}) do
    local name = quotas.calendar(old)
    changes[name] = (changes[name] or 0) - 1
    for _, quota in ipairs(list) do
      if quota.unit == old.unit and quota.period == old.period and quota.tz == old.tz then
        quota.used, quota.begins, quota.ends, quota.first = old.used, old.begins, old.ends, old.first
        quota.past_begins, quota.past_used, quota.is_out = old.past_begins, old.past_used, old.used >= quota.quota
      end
    end
  end
  for _, quota in ipairs(list) do
    local name = quotas.calendar(quota)
    changes[name] = (changes[name] or 0) + 1
  end
  if next(changes) then periods.change_uses(tx, changes, bounds) end
  settings.quotas, settings.quota_at = #list > 0 and list or nil, 0
  quotas.open(tx, settings, lease)
end
