-- Cap sets: the named caps of queues, one to three names together. A partition gives each set that its queues use a
-- number, so that a queue and its place in parked name it in four bytes.
--
-- counters  :K -> the number of the newest set (decimal)
--           :K<names> -> the number of a set (4 bytes)
--           :k<number, 4 bytes> -> its names
--           :y<number, 4 bytes> -> how many queues have the set (decimal); the set goes with the last of them
--           :z<number, 4 bytes> -> how many jobs are queued in these queues (decimal)
--           :n<name> -> the numbers of the sets that have a cap (4 bytes each), in order; revision 14 and older ones
--                       did not order those of one call
--
-- The names of a set are in order, with a NUL between them. No number is used twice.
--
-- In a call tx.cap_sets has what it knows of sets: numbers by names (false: none), names by numbers, how many uses and
-- how many queued jobs it adds by number, and the newest number if it makes a set.
--
-- Uses: shortcuts

local cap_sets = {
  INDEX = ':K', PREFIX = ':k', USES = ':y', JOBS = ':z', OF_CAP = ':n',
  WIDTH = 4,
  NUMBER = '>I4',
}

-- Return a field of a set: its names (PREFIX), its uses (USES) or its jobs (JOBS).
local function field_of(prefix, number)
  return prefix .. pack_bytes(cap_sets.NUMBER, number)
end

-- Return what the call knows of sets.
local function known_sets(tx)
  local sets = tx.cap_sets
  if not sets then
    sets = {numbers = {}, names = {}, uses = {}, jobs = {}, newest = false}
    tx.cap_sets = sets
  end
  return sets
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
  local number, sets = cap_sets.find(tx, names), tx.cap_sets
  if number then return number end
  sets.newest = (sets.newest or tonumber(call('HGET', tx.keys[KEY.counters], cap_sets.INDEX) or 0)) + 1
  sets.numbers[names], sets.names[sets.newest] = sets.newest, names
  return sets.newest
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

-- Count queued jobs that enter or leave the queues of a set with this call. number: nil for none.
function cap_sets.count(tx, number, difference)
  if not number or difference == 0 then return end
  local jobs = known_sets(tx).jobs
  jobs[number] = (jobs[number] or 0) + difference
end

-- Return the numbers of the sets that have a cap, as one text.
local function sets_of(key, name)
  return call('HGET', key, cap_sets.OF_CAP .. name) or ''
end

-- Write a new set.
local function put_set(tx, key, number)
  local names, packed = cap_sets.names(tx, number), pack_bytes(cap_sets.NUMBER, number)
  call('HSET', key, cap_sets.INDEX .. names, packed, field_of(cap_sets.PREFIX, number), names)
  for name in string.gmatch(names, '%Z+') do
    call('HSET', key, cap_sets.OF_CAP .. name, sets_of(key, name) .. packed)
  end
end

-- Return the place of a number among those of a cap, nil if it is not there. Cost: O(log n) for numbers in order.
local function place_of(numbers, number)
  local low, high = 0, #numbers / cap_sets.WIDTH - 1
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local at = middle * cap_sets.WIDTH + 1
    local other = unpack_bytes(cap_sets.NUMBER, numbers, at)
    if other == number then return at end
    if other < number then low = middle + 1 else high = middle - 1 end
  end
  for at = 1, #numbers, cap_sets.WIDTH do
    if unpack_bytes(cap_sets.NUMBER, numbers, at) == number then return at end
  end
end

-- Remove a set from those of a cap.
local function leave_cap(key, name, number)
  local numbers = sets_of(key, name)
  local at = place_of(numbers, number)
  if at then numbers = sub(numbers, 1, at - 1) .. sub(numbers, at + cap_sets.WIDTH) end
  if #numbers > 0 then
    call('HSET', key, cap_sets.OF_CAP .. name, numbers)
  else
    call('HDEL', key, cap_sets.OF_CAP .. name)
  end
end

-- Remove a set that no queue has any more.
local function drop_set(tx, key, number)
  local names = cap_sets.names(tx, number)
  for name in string.gmatch(names, '%Z+') do leave_cap(key, name, number) end
  call('HDEL', key, field_of(cap_sets.USES, number), field_of(cap_sets.JOBS, number),
    field_of(cap_sets.PREFIX, number), cap_sets.INDEX .. names)
end

-- Return how many queues have a cap and how many jobs are queued in them, as far as up to `limit` of its sets say that
-- follow the set `after`; and the last of these sets if more follow, else 0.
function cap_sets.count_uses(tx, name, after, limit)
  local key, count, fields = tx.keys[KEY.counters], 0, {}
  local numbers, queues, queued, last = sets_of(key, name), 0, 0, 0
  for at = 1, #numbers, cap_sets.WIDTH do
    local number = unpack_bytes(cap_sets.NUMBER, numbers, at)
    if number > after then
      if count == limit then break end
      count, last = count + 1, number
      fields[2 * count - 1], fields[2 * count] = field_of(cap_sets.USES, number), field_of(cap_sets.JOBS, number)
    end
  end
  if count == 0 then return 0, 0, 0 end
  local values = call('HMGET', key, unpack(fields))
  local newest = unpack_bytes(cap_sets.NUMBER, sub(numbers, -cap_sets.WIDTH))
  for index = 1, count do
    queues, queued = queues + tonumber(values[2 * index - 1] or 0), queued + tonumber(values[2 * index] or 0)
  end
  return queues, queued, last < newest and last or 0
end

-- Write the uses that the call changed, and the sets that came or went with them.
function cap_sets.flush(tx)
  local sets, key, made = tx.cap_sets, tx.keys[KEY.counters], {}
  for number, difference in pairs(sets.uses) do
    local uses = difference ~= 0 and call('HINCRBY', key, field_of(cap_sets.USES, number), difference)
    if uses and uses <= 0 then
      drop_set(tx, key, number)
    elseif uses and uses == difference then
      made[#made + 1] = number
    end
    if uses and uses <= 0 then sets.jobs[number] = nil end
  end
  table.sort(made)
  for _, number in ipairs(made) do put_set(tx, key, number) end
  for number, difference in pairs(sets.jobs) do
    if difference ~= 0 then call('HINCRBY', key, field_of(cap_sets.JOBS, number), difference) end
  end
  if sets.newest then call('HSET', key, cap_sets.INDEX, sets.newest) end
  tx.cap_sets = nil
end
