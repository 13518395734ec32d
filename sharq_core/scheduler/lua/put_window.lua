-- put_window: define a window, define it anew, or extend its openings.
--
-- Keys: counters
-- Args: now, '', name, definition (JSON; '' extends the present one), version (0: the partition gives it; to extend:
--       the one that is extended), time up to which the openings are known (µs), openings (windows.OPENING each), most
--       windows, not_after (µs)
-- Reply: {0, now, -1, -1, status, version of the window afterwards (0: there is none), 1 if a walk must give the queues
--        that use the window their scores anew (rescore_windows.lua), else 0}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 done, 1 there is a newer version, or another one than that to be extended, 2 there are too many windows;
--           1 and 2 changed nothing
-- Cost: O(openings)
--
-- Uses: shortcuts, clock, windows, unit

local put_window = {DONE = 0, OLDER = 1, FULL = 2}

-- Return openings (from, to, from, to, ...) by their bytes.
local function unpack_openings(raw)
  local openings, at = {}, 1
  while at <= #raw do
    local count = #openings
    openings[count + 1], openings[count + 2], at = unpack_bytes(windows.OPENING, raw, at)
  end
  return openings
end

-- Return true if two windows are open at the same times, as far as both know.
local function are_alike(before, after, store_time)
  local known_until = math.min(before.known_until, after.known_until)
  local old = windows.between(before.openings, store_time, known_until)
  local new = windows.between(after.openings, store_time, known_until)
  if #old ~= #new or before.known_until <= store_time then return false end
  for index = 1, #old do
    if math.max(old[index], store_time) ~= math.max(new[index], store_time) then return false end
  end
  return true
end

-- Return the numbers of the present windows with one more, in their order.
local function add_number(numbers, number)
  local present, width = {number}, 4
  for at = 1, #numbers, width do present[#present + 1] = unpack_bytes(windows.NUMBER, numbers, at) end
  table.sort(present)
  local packed = {}
  for index, other in ipairs(present) do packed[index] = pack_bytes(windows.NUMBER, other) end
  return table.concat(packed)
end

-- Give a name its number, and note that its window is present. Returns the number, or nil if there are too many.
local function enter(key, name, number, limit)
  local index = call('HGET', key, windows.INDEX) or pack_bytes(windows.NUMBER, 0)
  local last, numbers = unpack_bytes(windows.NUMBER, index), sub(index, 5)
  if #numbers >= 4 * limit then return nil end
  if not number then
    number, last = last + 1, last + 1
    call('HSET', key, windows.INDEX .. name, pack_bytes(windows.NUMBER, number))
  end
  call('HSET', key, windows.INDEX, pack_bytes(windows.NUMBER, last) .. add_number(numbers, number))
  return number
end

-- Return true if the version of a put is too old. before: the window, nil for none.
local function is_older(before, version, is_extension)
  if is_extension then return not before or before.is_dropped or before.version ~= version end
  return before ~= nil and version > 0 and version < before.version
end

function put_window.run(tx, args, first)
  local name, definition, version = args[first], args[first + 1], tonumber(args[first + 2])
  if unit.is_late_by(tx, args[first + 6]) then return unit.expired(tx) end
  clock.read(tx)
  local key, store_time = tx.keys[KEY.counters], clock.store_time(tx)
  local number, before = windows.find(tx, name)
  if is_older(before, version, definition == '') then
    return {0, store_time, -1, -1, put_window.OLDER, before and before.version or 0, 0}
  end
  local after = {name = name, version = version, known_until = tonumber(args[first + 3]),
    openings = unpack_openings(args[first + 4]), definition = definition}
  if definition == '' then after.definition = before.definition end
  if version == 0 then after.version = math.max(store_time, before and before.version + 1 or 0) end
  if not before or before.is_dropped then
    number = enter(key, name, number, tonumber(args[first + 5]))
    if not number then return {0, store_time, -1, -1, put_window.FULL, 0, 0} end
  end
  call('HSET', key, windows.field(windows.PREFIX, number), windows.pack(after))
  local must_walk = windows.uses(tx, number) > 0 and not (before and are_alike(before, after, store_time))
  if must_walk then windows.begin_walk(tx) end
  return {0, store_time, -1, -1, put_window.DONE, after.version, must_walk and 1 or 0}
end
