-- The local days and hours that quotas count by. Lua knows no time zones, so shards compute ahead when those of a zone
-- begin and end (shard/calendar/period_keeper.py).
--
-- counters  :d<tz>, :h<tz> -> calendar of the days or of the hours of a zone: format 1, uses 4 (number of quotas of the
--                             partition that count by it), then bounds of 7 each, in order: a period begins at each
--                             bound and ends at the next one
--           :calendars -> the names of all calendars (d<tz>, h<tz>), each after its length 1
--
-- Bounds are times by the store's clock (µs). A time before the first bound, or at or past the last one, is not known.
--
-- Uses: shortcuts

local periods = {
  DAY = 'd', HOUR = 'h',
  NAMES = ':calendars',
  HEADER = '>BI4', HEADER_LENGTH = 5,  -- format, uses
  BOUND = '>I7', BOUND_LENGTH = 7,
}

-- Return the field of a calendar.
function periods.field(name)
  return ':' .. name
end

-- Return the names of all calendars of the partition.
function periods.names(tx)
  local raw, names, at = call('HGET', tx.keys[KEY.counters], periods.NAMES) or '', {}, 1
  while at <= #raw do
    local length = string.byte(raw, at)
    names[#names + 1], at = sub(raw, at + 1, at + length), at + 1 + length
  end
  return names
end

local function write_names(tx, names)
  local key = tx.keys[KEY.counters]
  if #names == 0 then return call('HDEL', key, periods.NAMES) end
  local parts = {}
  for index, name in ipairs(names) do parts[index] = string.char(#name) .. name end
  call('HSET', key, periods.NAMES, table.concat(parts))
end

-- Return the bound of a calendar with a number from 1 on.
local function bound(raw, number)
  return (unpack_bytes(periods.BOUND, raw, periods.HEADER_LENGTH + 1 + (number - 1) * periods.BOUND_LENGTH))
end

-- Return the number of bounds of a calendar.
local function count_bounds(raw)
  return (#raw - periods.HEADER_LENGTH) / periods.BOUND_LENGTH
end

-- Return when the period that a time is in begins and ends, or nil if that is not known.
function periods.find(tx, name, store_time)
  local raw = call('HGET', tx.keys[KEY.counters], periods.field(name))
  local low, high = 1, raw and count_bounds(raw) or 0
  if high < 2 or store_time < bound(raw, 1) or store_time >= bound(raw, high) then return nil end
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if store_time < bound(raw, middle) then high = middle else low = middle end
  end
  return bound(raw, low), bound(raw, high)
end

-- Return the first and the last bound of a calendar; 0 for none.
function periods.reach(raw)
  local count = raw and count_bounds(raw) or 0
  if count == 0 then return 0, 0 end
  return bound(raw, 1), bound(raw, count)
end

-- Replace the bounds of a calendar that quotas count by. Returns false if there is none.
function periods.put(tx, name, bounds)
  local key, field = tx.keys[KEY.counters], periods.field(name)
  local raw = call('HGET', key, field)
  if raw then call('HSET', key, field, sub(raw, 1, periods.HEADER_LENGTH) .. bounds) end
  return raw and true or false
end

-- Change how many quotas count by each calendar. A new calendar has the bounds that the call brings, and one without
-- uses is dropped.
-- changes: by name. bounds: by name; none for a calendar whose bounds are not known.
function periods.change_uses(tx, changes, bounds)
  local key, names = tx.keys[KEY.counters], periods.names(tx)
  local is_listed, kept = {}, {}
  for _, name in ipairs(names) do is_listed[name] = true end
  for name, by in pairs(changes) do
    local field = periods.field(name)
    local raw = call('HGET', key, field)
    local uses = by
    if raw then
      local _, before = unpack_bytes(periods.HEADER, raw)
      uses = before + by
    end
    if uses > 0 then
      local rest = bounds[name] or raw and sub(raw, periods.HEADER_LENGTH + 1) or ''
      call('HSET', key, field, pack_bytes(periods.HEADER, 1, uses) .. rest)
      if not is_listed[name] then names[#names + 1] = name end
    elseif raw then
      call('HDEL', key, field)
      is_listed[name] = false
    end
  end
  for _, name in ipairs(names) do
    if is_listed[name] ~= false then kept[#kept + 1] = name end
  end
  write_names(tx, kept)
end
