-- The counts of a type in a partition: one record, which a call reads once and writes once.
--
-- counters  <type> -> numbers of the newest job and of the newest lease; the latest minute and how many jobs were
--                   enqueued and leased in it; the totals, with enqueued = queued + delayed + leased + finished + dead
--                   + cancelled (I8); the agenda: when the type's next queue and its next timer are due (early
--                   perhaps, never late; 0 none)
--           :m<0-9> -> minute, enqueued, leased of all types in an older minute, by the last digit of the minute
--           :gen, :turn, :early -> the generations of tombstones (tombstones.lua)
--           :clock -> the partition's time (clock.lua)
--           :last -> the newest numbers of jobs and leases of dropped types, so that no number is used twice
--           :touches, :t<0-63> -> changes by nodes that do not own the partition (touched.lua)
--
-- Uses: shortcuts, clock

local counters = {
  MINUTE_US = 60000000,
  -- format, seq, lease, minute, jobs enqueued and leased in it, the totals by NAMES, ready_at, timer_at; then bytes of
  -- a newer version
  FORMAT = '>BI7I7I4I4I4I7I7I7I7I7I7I7I7I7',
  MINUTE = '>I4I7I7',
  LAST = '>I7I7',
  ROW_FROM = 28, ROW_TO = 90,  -- bytes of the totals and the agenda
  NAMES = {'enqueued', 'queued', 'delayed', 'leased', 'finished', 'dead', 'cancelled'},
}

-- Return the counts of a record. seq, lease: the newest numbers. minute_enqueued, minute_leased: the counts of the
-- latest minute. ready_at, timer_at, newer: false for none. is_known: the type has a record.
function counters.unpack(raw)
  local _, seq, lease, minute, minute_enqueued, minute_leased, enqueued, queued, delayed, leased, finished, dead,
    cancelled, ready_at, timer_at, newer_at = unpack_bytes(counters.FORMAT, raw)
  return {seq = seq, lease = lease, minute = minute, minute_enqueued = minute_enqueued, minute_leased = minute_leased,
    enqueued = enqueued, queued = queued, delayed = delayed, leased = leased, finished = finished, dead = dead,
    cancelled = cancelled, ready_at = ready_at > 0 and ready_at, timer_at = timer_at > 0 and timer_at,
    newer = newer_at <= #raw and sub(raw, newer_at), is_known = true}
end

-- Return the part of a record that a shard reads: nine numbers of 7 bytes, which are the totals by NAMES, ready_at and
-- timer_at (0: none).
function counters.row(raw)
  return sub(raw, counters.ROW_FROM, counters.ROW_TO)
end

-- Unpack a record into the counts of another partition that a joint call no longer needs. This costs half as much as a
-- new table.
local function unpack_over(counts, raw)
  local _, ready_at, timer_at, newer_at
  _, counts.seq, counts.lease, counts.minute, counts.minute_enqueued, counts.minute_leased, counts.enqueued,
    counts.queued, counts.delayed, counts.leased, counts.finished, counts.dead, counts.cancelled, ready_at, timer_at,
    newer_at = unpack_bytes(counters.FORMAT, raw)
  counts.ready_at, counts.timer_at = ready_at > 0 and ready_at, timer_at > 0 and timer_at
  counts.newer, counts.is_known = newer_at <= #raw and sub(raw, newer_at), true
  return counts
end

-- Return the newest numbers of jobs and leases of dropped types.
local function last_numbers(tx)
  local raw = call('HGET', tx.keys[KEY.counters], ':last')
  if not raw then return 0, 0 end
  tx.last = raw
  return unpack_bytes(counters.LAST, raw)
end

-- Return the counts of a type without a record.
local function new_counts(tx)
  local seq, lease = last_numbers(tx)
  return {seq = seq, lease = lease, minute = 0, minute_enqueued = 0, minute_leased = 0, enqueued = 0, queued = 0,
    delayed = 0, leased = 0, finished = 0, dead = 0, cancelled = 0, ready_at = false, timer_at = false, newer = false,
    is_known = false}
end

local function pack(counts)
  local queued, delayed, leased, dead = counts.queued, counts.delayed, counts.leased, counts.dead
  return pack_bytes(counters.FORMAT, 1, counts.seq, counts.lease, counts.minute, counts.minute_enqueued,
    counts.minute_leased, counts.enqueued, queued > 0 and queued or 0, delayed > 0 and delayed or 0,
    leased > 0 and leased or 0, counts.finished, dead > 0 and dead or 0, counts.cancelled, counts.ready_at or 0,
    counts.timer_at or 0) .. (counts.newer or '')
end

-- Start to count another minute. The counts of the last minute are added to those of all types, unless this minute is
-- ten minutes newer.
local function turn_minute(tx, counts, minute)
  local past, enqueued, leased = counts.minute, counts.minute_enqueued, counts.minute_leased
  counts.minute, counts.minute_enqueued, counts.minute_leased = minute, 0, 0
  if enqueued + leased == 0 then return end
  local field = ':m' .. past % 10
  local raw = call('HGET', tx.keys[KEY.counters], field)
  if raw then
    local stored, others_enqueued, others_leased = unpack_bytes(counters.MINUTE, raw)
    if stored > past and stored < minute + 10 then return end
    if stored == past then enqueued, leased = enqueued + others_enqueued, leased + others_leased end
  end
  tx.past_minute = {field, pack_bytes(counters.MINUTE, past, enqueued, leased)}
end

-- Read the counts, and set the time of the call. at_most: see clock.set.
function counters.open(tx, at_most)
  local key, told = tx.keys[KEY.counters], tx.now
  local raw
  if clock.is_set(tx, at_most) then
    raw = call('HGET', key, tx.type)
  else
    local found = call('HMGET', key, tx.type, clock.FIELD)
    raw = found[1]
    clock.set(tx, found[2], at_most)
  end
  local counts = not raw and new_counts(tx) or tx.counters and unpack_over(tx.counters, raw) or counters.unpack(raw)
  local minute = (told - told % counters.MINUTE_US) / counters.MINUTE_US
  tx.counters = counts
  if counts.minute ~= minute then turn_minute(tx, counts, minute) end
end

local function write_past_minute(tx)
  local past = tx.past_minute
  if past then
    call('HSET', tx.keys[KEY.counters], past[1], past[2])
    tx.past_minute = nil
  end
end

-- Drop the record if the type has no job, dead letter, queue or timer. Its newest numbers and its latest minute are
-- kept together with those of other types.
function counters.drop_blank(tx)
  local counts = tx.counters
  if not counts.is_known or counts.queued + counts.delayed + counts.leased + counts.dead > 0 or counts.timer_at
    or call('HLEN', tx.keys[KEY.queues]) > 0 then return end
  local seq, lease = last_numbers(tx)
  turn_minute(tx, counts, counts.minute)
  write_past_minute(tx)
  call('HSET', tx.keys[KEY.counters], ':last',
    pack_bytes(counters.LAST, math.max(seq, counts.seq), math.max(lease, counts.lease)))
  call('HDEL', tx.keys[KEY.counters], tx.type)
end

-- Count dead letters that were dropped.
function counters.cancel_dead(tx, count)
  local counts = tx.counters
  counts.dead, counts.cancelled = counts.dead - count, counts.cancelled + count
end

-- Write a field, and the clock record together with it if the call changed it.
local function write_record(tx, key, field, value)
  if tx.tick then
    call('HSET', key, field, value, clock.FIELD, tx.tick)
    tx.tick = nil
  else
    call('HSET', key, field, value)
  end
end

-- Write the counts even if nothing changed, so that a WAIT after the call covers what the call read. For a dropped type
-- the last numbers are written instead. A call about a type that never existed creates nothing, unless it holds a
-- queue: the end of the hold needs the partition's time.
function counters.close(tx)
  local counts, key = tx.counters, tx.keys[KEY.counters]
  write_past_minute(tx)
  if counts.is_known or counts.enqueued > 0 or counts.timer_at or tx.is_held then
    write_record(tx, key, tx.type, pack(counts))
  elseif tx.last then
    write_record(tx, key, ':last', tx.last)
  end
end
