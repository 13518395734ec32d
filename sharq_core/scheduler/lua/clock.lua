-- The time of a partition. It goes on evenly when the store's clock steps, so that every time in the partition's records
-- keeps its meaning: spacing, leases, delays and retentions last as long as they were meant to last.
--
-- counters  :clock -> format, number, shift, seen, since
--
--   time of the partition = the store's clock + shift
--   number  grows with each change of the shift, so that two nodes never mend the same step twice
--   seen    the partition's time at its latest call, at most GRAIN_US less. An earlier time proves that the store's clock
--           stepped back: the call that meets it raises the shift, and the partition goes on from `seen`
--   since   when the present run of calls began: the last time at which RUN_US passed between two calls. What a node
--           believes to be a step ahead is none when the run is older (set_clock.lua)
--
-- A step ahead looks like idle time from in here. Nodes notice it by their own clocks (shard/cluster/partition_clocks.py): calls
-- that say when they may be at the latest are refused meanwhile, and set_clock lowers the shift.
--
-- In a call own.now is the partition's time, and own.shift is what it is ahead of the store's clock, nil for nothing.
-- Minutes of the counts are those of the store's clock.
-- Callers know the store's clock alone: what they name is read with clock.own_time, what they are told is clock.shown.

local clock = {
  FIELD = ':clock',
  FORMAT = '>BI4i8I7I7',
  GRAIN_US = 200000,
  RUN_US = 5000000,
  MOST_KNOWN = 16384,
  known = {},  -- counters key -> what the record held when a call read it last: told (the store's clock then), shift, seen
  count = 0,   -- entries in it
}

-- The values of a record: number, shift, seen, since; those of a partition that has none yet.
function clock.unpack(raw)
  if not raw then return 0, 0, 0, 0 end
  local _, number, shift, seen, since = unpack_bytes(clock.FORMAT, raw)
  return number, shift, seen, since
end

function clock.pack(number, shift, seen, since)
  return pack_bytes(clock.FORMAT, 1, number, shift, seen, since)
end

local function set(own, now)
  if now ~= own.now then own.now, own.shift = now, now - own.now end
end

-- Keeps what a record holds, so that the calls of the next GRAIN_US need not read it: reading and writing it in each
-- would cost them 4 %. A server that lost the partition and has it again does not within that time.
local function remember(own, told, shift, seen)
  local key = own.keys[KEY.counters]
  local known = clock.known[key]
  if known then
    known.told, known.shift, known.seen = told, shift, seen
    return
  end
  if clock.count == clock.MOST_KNOWN then clock.known, clock.count = {}, 0 end
  clock.known[key], clock.count = {told = told, shift = shift, seen = seen}, clock.count + 1
end

-- Sets the partition's time by what was read a moment ago, when that says all there is to say; false else. at_most: as
-- for clock.set.
function clock.is_set(own, at_most)
  local known, told = clock.known[own.keys[KEY.counters]], own.now
  if not known or told < known.told or at_most and at_most > 0 and told > at_most then return false end
  local now = told + known.shift
  if now >= known.seen + clock.GRAIN_US then return false end
  set(own, now)
  return true
end

-- The record is another now, or will be: what was read of it would set the time back once the store's clock has come
-- again to where it was read.
function clock.forget(own)
  local known = clock.known[own.keys[KEY.counters]]
  if known then known.told = math.huge end
end

-- Sets the partition's time for a call that writes. raw: the record as it was read, false for none. at_most: the latest
-- time by the store's clock at which the caller believes the call to run (µs, 0: not known). A call that must be done
-- all the same goes by that time when it comes later, or when the store's clock stepped ahead.
-- What is to be written stays in own.tick for counters.close.
function clock.set(own, raw, at_most)
  local told = own.now
  local number, shift, seen, since = clock.unpack(raw)
  local now = told + shift
  if at_most and at_most > 0 and told > at_most then
    now = at_most + shift
    return set(own, now > seen and now or seen)
  end
  if now < seen then
    number, shift, now = number + 1, seen - told, seen
  elseif now < seen + clock.GRAIN_US then
    remember(own, told, shift, seen)
    return set(own, now)
  end
  if now > seen + clock.RUN_US then since = now end
  clock.forget(own)
  own.tick = clock.pack(number, shift, now, since)
  set(own, now)
end

-- Sets the partition's time for a call that only reads. A node of an older version does not name the counters.
-- Returns number, shift and seen, as they are stored.
function clock.read(own)
  local key = own.keys[KEY.counters]
  local number, shift, seen = clock.unpack(key and call('HGET', key, clock.FIELD))
  local now = own.now + shift
  set(own, now > seen and now or seen)
  return number, shift, seen
end

-- A time of the partition as callers are told it: by the store's clock, and never below 0, which would say none.
function clock.shown(own, at)
  local shift = own.shift
  if not shift then return at end
  return at > shift and at - shift or 0
end

-- A time by the store's clock, as a caller names it, as the partition's.
function clock.own_time(own, at)
  return own.shift and at + own.shift or at
end

-- The store's own time of a call.
function clock.told(own)
  return own.shift and own.now - own.shift or own.now
end
