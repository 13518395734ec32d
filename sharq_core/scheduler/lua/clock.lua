-- The time of a partition. It advances evenly even if the store's clock steps, so that the times in the partition's
-- records keep their meaning: spacing, leases, delays and retentions last as long as intended.
--
-- counters  :clock -> format, number, shift, seen, since, flags (absent: 0)
--
--   partition's time = the store's clock + shift
--   number  The number of changes of the shift. It keeps two nodes from correcting the same step twice.
--   seen    The partition's time at its latest call, or up to GRAIN_US less. A call that finds an earlier time proves
--           that the store's clock stepped back: it raises the shift, and the partition continues from `seen`.
--   since   The start of the present run of calls, which is the last time that RUN_US passed between two calls. A node
--           that reports a step ahead is wrong if the run is older than the step (set_clock.lua).
--   flags   1: everything in the partition is paused (pause_all.lua). 2: a type of the partition has or had settings
--           (type_settings.lua). The flags are kept here because each call that writes knows this record already, so
--           that a dequeue reads nothing more.
--
-- From here a step ahead is not distinguishable from idle time. Nodes detect it with their own clocks
-- (shard/cluster/partition_clocks.py). Until set_clock lowers the shift, the store refuses the calls of nodes, because
-- each names its deadline (not_after) in the partition's time. A node computes that from its latest reading of the
-- partition and its own clock, so a change of the store's clock or of the shift since then cannot make a deadline fit.
--
-- In a call, tx.now is the partition's time and tx.shift is its lead over the store's clock (nil for zero).
-- tx.is_all_paused is true if everything is paused, and tx.has_settings if flag 2 is set, else nil. The minutes
-- of the counts are minutes of the store's clock. Callers know only the store's clock: clock.partition_time converts
-- the times that they name, and clock.shown converts the times in the answers to them.
--
-- Uses: shortcuts

local clock = {
  FIELD = ':clock',
  FORMAT = '>BI4i8I7I7',
  FLAGS_AT = 28,
  ALL_PAUSED = 1, SETTINGS = 2,
  GRAIN_US = 200000,
  RUN_US = 5000000,
  -- A deadline in the partition's time is a multiple of 64 µs, plus OWN_TIME, plus the time that the call had left when
  -- it was made (s, rounded up). If much more is left, the partition's time is behind the one that the node has read,
  -- and is corrected first. A deadline below OWN_TIME is by the store's clock: that of a node which has not read the
  -- partition yet, or of an older version.
  OWN_TIME = 4503599627370496,
  UNIT_US = 64,
  SECOND_US = 1000000,
  -- No deadline by the store's clock is longer, because [redis] timeout is at most a minute. One further in the future
  -- was set before the store's clock stepped back.
  LONGEST_US = 90000000,
  -- The most by which a step back sets back a partition that has leases: nodes mark such a partition in use every ten
  -- seconds. If a node knows a time further ahead, it read a partition whose time has been corrected since.
  MOST_LOST_US = 15000000,
  MOST_CACHED = 16384,
  -- counters key -> the record at its latest reading: read_at (the store's clock then), number, shift, seen, flags
  cache = {},
  count = 0,   -- entries in cache
}

-- Return number, shift, seen, since and flags of a record. All are 0 for a partition without a record (raw is false).
function clock.unpack(raw)
  if not raw then return 0, 0, 0, 0, 0 end
  local _, number, shift, seen, since = unpack_bytes(clock.FORMAT, raw)
  return number, shift, seen, since, string.byte(raw, clock.FLAGS_AT) or 0
end

-- Return a record. The flags take a byte only if there are any.
function clock.pack(number, shift, seen, since, flags)
  local raw = pack_bytes(clock.FORMAT, 1, number, shift, seen, since)
  return flags > 0 and raw .. string.char(flags) or raw
end

-- Set the fields of the call for the flags.
local function set_flags(tx, flags)
  if flags % 2 >= clock.ALL_PAUSED then tx.is_all_paused, tx.is_limited = true, true end
  if flags % 4 >= clock.SETTINGS then tx.has_settings = true end
end

-- Set the partition's time of the call, and what the flags say.
local function set_time(tx, now, flags)
  if now ~= tx.now then tx.now, tx.shift = now, now - tx.now end
  if flags > 0 then set_flags(tx, flags) end
end

-- Keep the contents of a record, so that calls within the next GRAIN_US need not read it. Reading and writing the
-- record in each call would add 4 % to its cost. A server cannot lose the partition and get it back within that time.
local function remember(tx, store_time, number, shift, seen, flags)
  local key = tx.keys[KEY.counters]
  local cached = clock.cache[key]
  if cached then
    cached.read_at, cached.number, cached.shift, cached.seen, cached.flags = store_time, number, shift, seen, flags
    return
  end
  if clock.count == clock.MOST_CACHED then clock.cache, clock.count = {}, 0 end
  clock.cache[key], clock.count =
    {read_at = store_time, number = number, shift = shift, seen = seen, flags = flags}, clock.count + 1
end

-- Return true if a call may run. not_after: see clock.set. store_time: the store's clock. now: the partition's time.
local function is_in_time(not_after, store_time, now)
  local remaining, longest = not_after - store_time, clock.LONGEST_US
  if not_after >= clock.OWN_TIME then
    remaining = not_after - clock.OWN_TIME - now
    longest = (not_after % clock.UNIT_US + 1) * clock.SECOND_US
  end
  return remaining >= 0 and remaining <= longest
end

-- Return the time of a call that must be done although it is not in time: its deadline if it is late, and the time at
-- which it was made if the partition's time is behind that, because its node soon sets the partition to that time.
local function as_of(not_after, shift, now, seen)
  local is_own, at = not_after >= clock.OWN_TIME, math.max(now, seen)
  local latest = is_own and not_after - clock.OWN_TIME or not_after + shift
  if at > latest then return math.max(latest, seen) end
  if not is_own then return at end
  local made_at = latest - not_after % clock.UNIT_US * clock.SECOND_US
  return math.max(math.min(made_at, at + clock.MOST_LOST_US), at)
end

-- Set the partition's time from a recently read record. Returns false if the record must be read, or if the call may
-- be late. not_after: see clock.set.
function clock.is_set(tx, not_after)
  local cached, store_time = clock.cache[tx.keys[KEY.counters]], tx.now
  if not cached or store_time < cached.read_at then return false end
  local now = store_time + cached.shift
  if now >= cached.seen + clock.GRAIN_US then return false end
  if not_after and not_after > 0 and not is_in_time(not_after, store_time, now) then return false end
  set_time(tx, now, cached.flags)
  return true
end

-- Invalidate what was read of the record, because it changes. Otherwise that would set the time back when the store's
-- clock reaches the time of the reading again.
function clock.forget(tx)
  local cached = clock.cache[tx.keys[KEY.counters]]
  if cached then cached.read_at = math.huge end
end

-- Return true if a call that does not set the partition's time may still run. raw: the record as it was read, or false.
-- not_after: see clock.set.
function clock.allows(tx, raw, not_after)
  local _, shift, seen = clock.unpack(raw)
  return is_in_time(not_after, tx.now, math.max(tx.now + shift, seen))
end

-- Set the partition's time for a call that writes. Returns false, and changes nothing, if the call must not run: it is
-- late, perhaps after a pause in a socket buffer, or the partition's time must be corrected first.
-- raw: the record as it was read, or false. not_after: the latest time (µs) at which the call may run (see OWN_TIME);
-- 0, nil or false for none. runs_late: the call must be done in any case. Instead of being refused, it runs as of the
-- time at which its node expects it, and leaves the record alone.
-- A record that must be written is left in tx.tick for counters.close.
function clock.set(tx, raw, not_after, runs_late)
  local store_time = tx.now
  local number, shift, seen, since, flags = clock.unpack(raw)
  local now = store_time + shift
  if not_after and not_after > 0 and not is_in_time(not_after, store_time, math.max(now, seen)) then
    if runs_late then set_time(tx, as_of(not_after, shift, now, seen), flags) end
    return runs_late
  end
  if now < seen then
    number, shift, now = number + 1, seen - store_time, seen
  elseif now < seen + clock.GRAIN_US then
    remember(tx, store_time, number, shift, seen, flags)
    set_time(tx, now, flags)
    return true
  end
  if now > seen + clock.RUN_US then since = now end
  clock.forget(tx)
  tx.tick = clock.pack(number, shift, now, since, flags)
  set_time(tx, now, flags)
  return true
end

-- Return the number of changes of the shift, with that of this call. The partition's time is set.
function clock.number(tx)
  return (clock.unpack(tx.tick or call('HGET', tx.keys[KEY.counters], clock.FIELD)))
end

-- Return the same for a call that clock.set or clock.is_set let run in time: one of them knows the record.
function clock.known_number(tx)
  if tx.tick then return (clock.unpack(tx.tick)) end
  return clock.cache[tx.keys[KEY.counters]].number
end

-- Write the record, even if it says the same as before, so that a WAIT after the call covers what the call read.
-- flag: one to set or to clear, nil for none.
function clock.write(tx, flag, is_set)
  local key = tx.keys[KEY.counters]
  local number, shift, seen, since, flags = clock.unpack(tx.tick or call('HGET', key, clock.FIELD))
  if flag then
    local had = flags % (2 * flag) >= flag
    flags = flags - (had and flag or 0) + (is_set and flag or 0)
  end
  clock.forget(tx)
  call('HSET', key, clock.FIELD, clock.pack(number, shift, seen, since, flags))
  tx.tick = nil
end

-- Set the partition's time for a call that only reads. Nodes of older versions do not declare the counters key.
-- Returns number, shift and seen as stored.
function clock.read(tx)
  local key = tx.keys[KEY.counters]
  return clock.see(tx, key and call('HGET', key, clock.FIELD))
end

-- Do the same with a record that was read (false for none).
function clock.see(tx, raw)
  local number, shift, seen, _, flags = clock.unpack(raw)
  local now = tx.now + shift
  set_time(tx, now > seen and now or seen, flags)
  return number, shift, seen
end

-- Convert a partition's time to the store's clock, for the caller. The result is never below 0, which would mean
-- "none".
function clock.shown(tx, at)
  local shift = tx.shift
  if not shift then return at end
  return at > shift and at - shift or 0
end

-- Convert a time that a caller names by the store's clock to the partition's time.
function clock.partition_time(tx, at)
  return tx.shift and at + tx.shift or at
end

-- Return the store's clock as this call read it.
function clock.store_time(tx)
  return tx.shift and tx.now - tx.shift or tx.now
end
