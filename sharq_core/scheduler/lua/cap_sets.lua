-- Cap sets: the named caps of queues, one to three names together. A partition gives each set that its queues use a
-- number, so that a queue and its place in parked name it in four bytes.
--
-- counters  :K -> the number of the newest set (decimal)
--           :K<names> -> the number of a set (4 bytes)
--           :k<number, 4 bytes> -> its names
--           :y<number, 4 bytes> -> how many queues have the set (decimal); the set goes with the last of them
--
-- The names of a set are in order, with a NUL between them. No number is used twice.
--
-- In a call tx.cap_sets has what it knows of sets: numbers by names (false: none), names by numbers, how many uses it
-- adds by number, and the newest number if it makes a set.
--
-- Uses: shortcuts

local cap_sets = {
  INDEX = ':K', PREFIX = ':k', USES = ':y',
  NUMBER = '>I4',
}

-- Return a field of a set: its names (PREFIX) or its uses (USES).
local function field_of(prefix, number)
  return prefix .. pack_bytes(cap_sets.NUMBER, number)
end

-- Return what the call knows of sets.
local function known_sets(tx)
  local known = tx.cap_sets
  if not known then
    known = {numbers = {}, names = {}, uses = {}, newest = false}
    tx.cap_sets = known
  end
  return known
end

-- Return the number of a set that a queue has, or nil.
function cap_sets.find(tx, names)
  local numbers = known_sets(tx).numbers
  if numbers[names] == nil then
    local raw = call('HGET', tx.keys[KEY.counters], cap_sets.INDEX .. names)
    numbers[names] = raw and unpack_bytes(cap_sets.NUMBER, raw) or false
  end
  return numbers[names] or nil
end

-- Return the number of a set for a queue that the caller gives it to.
function cap_sets.take(tx, names)
  local number, known = cap_sets.find(tx, names), tx.cap_sets
  if number then return number end
  known.newest = (known.newest or tonumber(call('HGET', tx.keys[KEY.counters], cap_sets.INDEX) or 0)) + 1
  known.numbers[names], known.names[known.newest] = known.newest, names
  return known.newest
end

-- Return the names of a set, '' if there is none. number: nil for none.
function cap_sets.names(tx, number)
  if not number then return '' end
  local names = known_sets(tx).names
  if not names[number] then
    names[number] = call('HGET', tx.keys[KEY.counters], field_of(cap_sets.PREFIX, number)) or ''
  end
  return names[number]
end

-- Count uses of a set that begin or end with this call. number: nil for none.
function cap_sets.use(tx, number, difference)
  if not number then return end
  local uses = known_sets(tx).uses
  uses[number] = (uses[number] or 0) + difference
end

-- Remove a set that no queue has any more.
local function drop(tx, key, number)
  call('HDEL', key, field_of(cap_sets.USES, number), field_of(cap_sets.PREFIX, number),
    cap_sets.INDEX .. cap_sets.names(tx, number))
end

-- Write the uses that the call changed, and the sets that came or went with them.
function cap_sets.flush(tx)
  local known, key = tx.cap_sets, tx.keys[KEY.counters]
  for number, difference in pairs(known.uses) do
    local uses = difference ~= 0 and call('HINCRBY', key, field_of(cap_sets.USES, number), difference)
    if uses and uses <= 0 then
      drop(tx, key, number)
    elseif uses and uses == difference then
      local names = known.names[number]
      call('HSET', key, cap_sets.INDEX .. names, pack_bytes(cap_sets.NUMBER, number),
        field_of(cap_sets.PREFIX, number), names)
    end
  end
  if known.newest then call('HSET', key, cap_sets.INDEX, known.newest) end
  tx.cap_sets = nil
end
