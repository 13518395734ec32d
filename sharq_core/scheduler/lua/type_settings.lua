-- The settings of a type in a partition: a pause, a hold, how many jobs may be leased at once, and the limits that all
-- queues of the type share. A plain type has only the pause, which each partition keeps. A gathered type has all its
-- queues in one partition, so that one call sees everything that a limit spans.
--
-- counters  :s<type> -> header, limits, bytes of a newer version
--
-- The field exists only while something is set. The first newer byte of the type's counts says so (counters.lua). A
-- type may have settings and no counts. A flag of the partition (clock.lua) says whether to look for them, so that a
-- type without settings pays nothing.
--
-- In a call the settings are in tx.settings, which is nil for none. tx.is_limited is true if there are settings or if
-- everything is paused, else nil: a call of any other type looks at this one field only.
--
-- A gathered type also has defaults for the jobs of its queues, in the newer bytes and in the form of queue_life.lua:
-- settings.retry, settings.expires, settings.on_expiry and settings.window (the number of a window). Its quotas follow
-- (settings.quotas, a list; nil for none). settings.quota_at says until when they are out (quotas.lua).
--
-- A limit is a leaky bucket like the rate of a queue: tat is when the type may next lease. Its unit is one job, or one
-- point of a job's cost.
--
-- Uses: shortcuts, retry_policy, queue_limits, queue_record, quotas

local type_settings = {
  PREFIX = ':s',
  PAUSED = 1,                -- flag
  JOB = 1, COST = 2,         -- units of limits
  HEADER = '>BBI7I7I4B',     -- format, flags, held until, last lease, most leased jobs (0: any number), limits
  LIMIT = '>BI6I4BI7',       -- unit, interval, burst, hundredths of the burst, tat
  LIFE = '>I6B',             -- after the retry policy: expires (0: none), on_expiry (0: none)
  LIFE_LENGTH = 18,
  WINDOWS = '>I4B',          -- after LIFE: window (0: none), number of quotas
  WINDOWS_LENGTH = 5,
}

-- Return the field of a type.
function type_settings.field(type)
  return type_settings.PREFIX .. type
end

-- Return a limit. burst: in hundredths. slack: how much lateness (µs) it makes up.
function type_settings.new_limit(unit_of, interval, burst, tat)
  local slack = math.min(math.floor((burst - 100) * interval / 100), queue_record.LATEST_US)
  return {unit = unit_of, interval = interval, burst = burst, tat = tat, slack = slack}
end

-- Return settings in which nothing is set.
function type_settings.new()
  return {is_paused = false, held_until = 0, last = 0, max_leased = 0, limits = {}, newer = '', newer_flags = 0,
    leases = 0, quota_at = 0}
end

-- Take the defaults of jobs' lives out of the newer bytes.
local function unpack_life(settings)
  local newer = settings.newer
  local expires, on_expiry, at = unpack_bytes(type_settings.LIFE, newer, retry_policy.LENGTH + 1)
  settings.retry, settings.newer = retry_policy.unpack(newer, 1), sub(newer, at)
  settings.expires, settings.on_expiry = expires > 0 and expires or nil, on_expiry > 0 and on_expiry or nil
end

-- Take the window and the quotas out of the newer bytes.
local function unpack_windows(settings)
  local window, count, at = unpack_bytes(type_settings.WINDOWS, settings.newer)
  settings.quotas, at = quotas.unpack(settings.newer, count, at)
  settings.window, settings.newer = window > 0 and window or nil, sub(settings.newer, at)
end

-- Return the bytes of the window and of the quotas, and of a newer version; empty if there are none.
local function pack_windows(settings)
  local list = settings.quotas
  if not settings.window and not list and settings.newer == '' then return '' end
  return pack_bytes(type_settings.WINDOWS, settings.window or 0, list and #list or 0)
    .. (list and quotas.pack(list) or '') .. settings.newer
end

-- Return the newer bytes: the defaults of jobs' lives, window and quotas, if there are any, and those of a newer
-- version.
local function pack_newer(settings)
  local tail = pack_windows(settings)
  if tail == '' and not settings.retry and not settings.expires and not settings.on_expiry then return '' end
  return retry_policy.pack(settings.retry)
    .. pack_bytes(type_settings.LIFE, settings.expires or 0, settings.on_expiry or 0) .. tail
end

-- Return the settings of a record. A last lease in the future, or a hold that ends too late, belongs to a time that was
-- taken back (clock.lua). The type then continues as if that lease or that hold had been now.
function type_settings.unpack(raw, now)
  local _, flags, held_until, last, max_leased, count, at = unpack_bytes(type_settings.HEADER, raw)
  local limits, is_ahead, longest = {}, last > now + queue_record.AHEAD_US, now + queue_limits.LONGEST_HOLD_US
  if is_ahead then held_until = math.max(held_until - (last - now), 0) end
  local is_healed = is_ahead or held_until > longest
  for index = 1, count do
    local unit_of, interval, burst, hundredths, tat
    unit_of, interval, burst, hundredths, tat, at = unpack_bytes(type_settings.LIMIT, raw, at)
    if is_ahead then tat = now + math.max(tat - last, 0) end
    limits[index] = type_settings.new_limit(unit_of, interval, burst * 100 + hundredths, tat)
  end
  local settings = {is_paused = flags % 2 == type_settings.PAUSED, held_until = math.min(held_until, longest),
    last = is_ahead and now or last, max_leased = max_leased, limits = limits, newer = sub(raw, at),
    newer_flags = flags - flags % 2, is_changed = is_healed, is_earlier = is_healed, leases = 0,
    quota_at = 0}
  if #settings.newer >= type_settings.LIFE_LENGTH then unpack_life(settings) end
  if #settings.newer >= type_settings.WINDOWS_LENGTH then unpack_windows(settings) end
  return settings
end

-- Give a call the settings of a record. Its quotas are opened when the counts are known (counters.lua).
function type_settings.open(tx, raw)
  tx.settings, tx.is_limited = type_settings.unpack(raw, tx.now), true
end

-- Return the settings of a call's type. If it has none, give it some in which nothing is set.
function type_settings.require(tx)
  local settings = tx.settings or type_settings.new()
  tx.settings, tx.is_limited = settings, true
  return settings
end

function type_settings.pack(settings)
  local limits = settings.limits
  local raw = pack_bytes(type_settings.HEADER, 1,
    settings.newer_flags + (settings.is_paused and type_settings.PAUSED or 0), settings.held_until, settings.last,
    settings.max_leased, #limits)
  for index = 1, #limits do
    local limit = limits[index]
    local hundredths = limit.burst % 100
    raw = raw .. pack_bytes(type_settings.LIMIT, limit.unit, limit.interval, (limit.burst - hundredths) / 100,
      hundredths, limit.tat)
  end
  return raw .. pack_newer(settings)
end

-- Return true if nothing is set, so that the record can go.
function type_settings.is_blank(settings, now)
  return not settings.is_paused and settings.held_until <= now and settings.max_leased == 0 and #settings.limits == 0
    and pack_newer(settings) == '' and settings.newer_flags == 0
end

-- Return when hold, limits and quotas next allow a lease (µs); 0 for any time.
-- quota_at: when the quotas do, if not as the settings say.
function type_settings.ready_at(settings, quota_at)
  local at, limits, held_until = quota_at or settings.quota_at, settings.limits, settings.held_until
  if held_until > at then at = held_until end
  for index = 1, #limits do
    local tat = limits[index].tat
    if tat > at then at = tat end
  end
  return at
end

-- Return when a dequeue must look at the type again (µs). A quota is looked at again before its period ends, because
-- the period ends by the store's clock, which may step.
function type_settings.look_at(settings, now)
  local quota_at = settings.quota_at
  if quota_at > now + quotas.LOOK_AGAIN_US then quota_at = now + quotas.LOOK_AGAIN_US end
  return type_settings.ready_at(settings, quota_at)
end

-- Return true if as many jobs as allowed are leased.
function type_settings.is_full(settings, leased)
  return settings.max_leased > 0 and leased >= settings.max_leased
end

-- Return how many jobs may be leased at once if each costs one point, at most `count`.
function type_settings.leases_allowed(settings, leased, now, count)
  if settings.is_paused or type_settings.ready_at(settings) > now then return 0 end
  if settings.max_leased > 0 then count = math.min(count, math.max(settings.max_leased - leased, 0)) end
  local limits = settings.limits
  for index = 1, #limits do
    local limit = limits[index]
    if limit.interval > 0 then
      local since = math.max(limit.tat, now - limit.slack)
      count = math.min(count, math.floor((now - since) / limit.interval) + 1)
    end
  end
  return settings.quotas and quotas.leases_allowed(settings.quotas, count) or count
end

-- Use all limits and quotas for the lease of a job. Returns the score of its queue in ready. Queues that one call
-- serves keep their order for the next call. With equal scores their names would decide, and give one more than its
-- share.
function type_settings.lease(settings, now, cost)
  local limits = settings.limits
  for index = 1, #limits do
    local limit = limits[index]
    local units, earliest = limit.unit == type_settings.COST and cost or 1, now - limit.slack
    local since = limit.tat > earliest and limit.tat or earliest
    limit.tat = math.min(since + units * limit.interval, queue_record.LATEST_US)
  end
  if settings.quotas then quotas.lease(settings, cost) end
  settings.last, settings.is_changed = now, true
  settings.leases = settings.leases + 1
  return now + settings.leases - 1
end

-- Correct the cost of a leased job: later leases pay the difference (in points), or come earlier if it is negative, but
-- never before one interval after the last lease.
-- token: that of the job's lease.
function type_settings.correct(settings, difference, token)
  local limits = settings.limits
  for index = 1, #limits do
    local limit = limits[index]
    if limit.unit == type_settings.COST then
      local tat, floor = limit.tat, settings.last + limit.interval
      local moved = math.max(tat + difference * limit.interval, math.min(tat, floor))
      limit.tat = math.min(moved, queue_record.LATEST_US)
      settings.is_changed = true
      if moved < tat then settings.is_earlier = true end
    end
  end
  if settings.quotas then quotas.correct(settings, difference, token) end
end

-- Let the type wait until a time (µs). A hold only grows.
function type_settings.hold(settings, till)
  settings.held_until, settings.is_changed = math.max(settings.held_until, till), true
end

-- Return when a new limit begins (µs). last: the last lease of the type. It waits one interval from then, or as many as
-- an old limit of its unit waits: a job that cost more than one point must not be forgiven by a change of the limits.
local function first_tat(old, unit_of, interval, last)
  local intervals = 1
  for index = 1, #old do
    local limit = old[index]
    if limit.unit == unit_of and limit.interval > 0 then
      intervals = math.max(intervals, (limit.tat - last) / limit.interval)
    end
  end
  return math.min(last + math.ceil(intervals * interval), queue_record.LATEST_US)
end

-- Replace all limits. An old limit that is also among the new ones stays as it is. The limits begin at once if the type
-- never had a lease.
-- rows: {unit, interval, burst in hundredths}.
function type_settings.replace_limits(settings, rows)
  local old, limits, last = settings.limits, {}, settings.last
  for index, row in ipairs(rows) do
    local unit_of, interval, burst = row[1], row[2], row[3]
    local tat = last > 0 and first_tat(old, unit_of, interval, last) or 0
    for _, limit in ipairs(old) do
      if limit.unit == unit_of and limit.interval == interval and limit.burst == burst then tat = limit.tat end
    end
    limits[index] = type_settings.new_limit(unit_of, interval, burst, tat)
  end
  settings.limits, settings.is_changed, settings.is_earlier = limits, true, true
end
