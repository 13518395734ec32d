-- set_type: change the settings of a gathered type. A setting that is not named stays.
--
-- Keys: ready timers queues counters parked capsets
-- Args: now, type, change (CHANGE below), and '1' if the caller can decode caps as a reason
-- Reply: that of get_type_stats, with the ready hint
--        {0, now, -1, -1, -1} if there is no such window: nothing was done
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: that of get_type_stats
--
-- Uses: shortcuts, clock, windows, retry_policy, quotas, type_settings, counters, unit, type_stats

local set_type = {
  -- not_after (µs, 0: none), which settings are named (1 limits, 2 most leased jobs, 4 hold, 8 retry, 16 expires, 32
  -- on_expiry; 64: the caller can decode the defaults of the lives of jobs, 128: and those of campaigns), most leased
  -- jobs (0: any number), hold from now (µs, 0: none), number of limits, then the limits (LIMIT), then from callers
  -- with 64: a retry policy, LIFE of type_settings.lua; then from callers with 128: which are named (1 window,
  -- 2 quotas), length and name of the window, number of quotas and the quotas (QUOTA), number of calendars and the
  -- calendars of their zones (CALENDAR)
  CHANGE = '>I8BI4I8B',
  LIMIT = '>BI6I4B',  -- unit, interval, burst, hundredths of the burst
  RETRY = 8, EXPIRES = 16, ON_EXPIRY = 32, KNOWS_LIFE = 64, KNOWS_CAMPAIGNS = 128,
  CAMPAIGN = '>BBc0B',  -- which are named, length and name of the window, number of quotas
  WINDOW = 1, QUOTAS = 2,  -- flags of CAMPAIGN
  QUOTA = '>BBI7Bc0',   -- unit, period, quota, length and name of the zone
  CALENDAR = '>Bc0Hc0', -- length and name of a calendar, length and bytes of its bounds (periods.lua)
}

-- Return the limits of a change, and where they end.
local function unpack_limits(change, count, at)
  local rows = {}
  for index = 1, count do
    local row = {unpack_bytes(set_type.LIMIT, change, at)}
    rows[index], at = {row[1], row[2], row[3] * 100 + row[4]}, row[5]
  end
  return rows, at
end

-- Set the named defaults of the lives of jobs.
local function set_life(settings, named, change, at)
  local function is_named(flag) return named % (2 * flag) >= flag end
  local retry = retry_policy.unpack(change, at)
  local expires, on_expiry = unpack_bytes(type_settings.LIFE, change, at + retry_policy.LENGTH)
  if is_named(set_type.RETRY) then settings.retry = retry end
  if is_named(set_type.EXPIRES) then settings.expires = expires > 0 and expires or nil end
  if is_named(set_type.ON_EXPIRY) then settings.on_expiry = on_expiry > 0 and on_expiry or nil end
end

-- Return the quotas of a change, and the bounds of calendars by their names.
local function unpack_quotas(change, count, at)
  local list, bounds = {}, {}
  for index = 1, count do
    local unit_of, period, number, tz
    unit_of, period, number, tz, at = unpack_bytes(set_type.QUOTA, change, at)
    list[index] = quotas.new(unit_of, string.char(period), number, tz)
  end
  local calendars = string.byte(change, at)
  at = at + 1
  for _ = 1, calendars do
    local name, raw
    name, raw, at = unpack_bytes(set_type.CALENDAR, change, at)
    bounds[name] = raw
  end
  return list, bounds
end

-- Return the number of the window that a change names, false to clear it, nil to leave it; and true if there is none
-- of this name.
local function named_window(tx, change, at)
  local named, name = unpack_bytes(set_type.CAMPAIGN, change, at)
  if named % (2 * set_type.WINDOW) < set_type.WINDOW then return nil, false end
  if name == '' then return false, false end
  local number = windows.number(tx, name)
  return number, not number
end

-- Set the default window of the type's queues, all of which get their scores anew.
local function set_window(tx, settings, number)
  if number == nil or (number or nil) == settings.window then return end
  windows.use(tx, settings.window, -1)
  settings.window = number or nil
  windows.use(tx, settings.window, 1)
  tx.has_windows = true
  windows.begin_walk(tx)
end

-- Set the named quotas.
local function set_quotas(tx, settings, change, at)
  local named, _, count, quotas_at = unpack_bytes(set_type.CAMPAIGN, change, at)
  if named % (2 * set_type.QUOTAS) >= set_type.QUOTAS then
    local list, bounds = unpack_quotas(change, count, quotas_at)
    quotas.replace(tx, settings, list, tx.counters.lease, bounds)
  end
end

-- Return the time of the type's last lease, or now if it may have had one that is not known. Returns 0 if it had none.
local function last_lease(tx, settings)
  if settings.last > 0 then return settings.last end
  return tx.counters.lease > 0 and tx.now or 0
end

function set_type.run(tx, args, first)
  local not_after, named, max_leased, held_for, count, at = unpack_bytes(set_type.CHANGE, args[first])
  local rows, life_at = unpack_limits(args[first], count, at)
  local knows_campaigns = named >= set_type.KNOWS_CAMPAIGNS
  local knows_life = named % set_type.KNOWS_CAMPAIGNS >= set_type.KNOWS_LIFE
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  local campaign_at = life_at + type_settings.LIFE_LENGTH
  local window, is_unknown
  if knows_campaigns then window, is_unknown = named_window(tx, args[first], campaign_at) end
  if is_unknown then return {0, clock.store_time(tx), -1, -1, -1} end
  local settings = type_settings.require(tx)
  if named % 2 >= 1 then
    settings.last = last_lease(tx, settings)
    type_settings.replace_limits(settings, rows)
  end
  if named % 4 >= 2 then settings.max_leased = max_leased end
  if named % 8 >= 4 then
    if held_for > 0 then type_settings.hold(settings, tx.now + held_for) else settings.held_until = 0 end
  end
  if knows_life then set_life(settings, named, args[first], life_at) end
  if knows_campaigns then
    set_quotas(tx, settings, args[first], campaign_at)
    set_window(tx, settings, window)
  end
  settings.is_changed, settings.is_earlier = true, true
  local head = unit.close(tx, unit.reply(tx))
  local reply = type_stats.reply(tx, tx.counters, knows_life, knows_campaigns, args[first + 1] == '1')
  reply[3], reply[4] = head[3], head[4]
  return reply
end
