-- What is counted of a type in a partition: one record, read and written once a call.
--
-- counters  <type> -> numbers of the newest job and of the newest lease; the latest minute and what was enqueued and
--                   leased in it; the totals: enqueued = queued + delayed + leased + finished + dead + cancelled (I8);
--                   and the agenda: when the type's next queue and its next timer are due, early perhaps, never late;
--                   0 none
--           :m<0-9> -> minute, enqueued, leased of all types in an older minute (by its last digit)
--           :gen, :turn -> when the younger generation of tombstones was first looked after; when they turn
--           :early -> tombstones that went too young
--           :clock -> the partition's time (clock.lua)
--           :last -> the newest numbers of jobs and leases of the types that are gone: none comes again
--           :touches, :t<0-63> -> what other nodes than the partition's owner changed (touched.lua)

local counters = {
  MINUTE_US = 60000000,
  -- format, seq, lease, minute, enqueued and given in it, the totals by NAMES, ready_at, timer_at; then bytes of a
  -- newer version
  FORMAT = '>BI7I7I4I4I4I7I7I7I7I7I7I7I7I7',
  MINUTE = '>I4I7I7',
  LAST = '>I7I7',
  ROW_FROM = 28, ROW_TO = 90,  -- bytes of the totals and the agenda
  NAMES = {'enqueued', 'queued', 'delayed', 'leased', 'finished', 'dead', 'cancelled'},
}

-- The counts of a record. seq, lease: the newest numbers. enqueued_now, given_now: what the latest minute had.
-- ready_at, timer_at, newer: false for none. is_known: the type has a record.
function counters.unpack(raw)
  local _, seq, lease, minute, enqueued_now, given_now, enqueued, queued, delayed, leased, finished, dead, cancelled,
    ready_at, timer_at, newer_at = unpack_bytes(counters.FORMAT, raw)
  return {seq = seq, lease = lease, minute = minute, enqueued_now = enqueued_now, given_now = given_now,
    enqueued = enqueued, queued = queued, delayed = delayed, leased = leased, finished = finished, dead = dead,
    cancelled = cancelled, ready_at = ready_at > 0 and ready_at, timer_at = timer_at > 0 and timer_at,
    newer = newer_at <= #raw and sub(raw, newer_at), is_known = true}
end

-- What a shard reads of a record: nine numbers of 7 bytes, the totals by NAMES, ready_at and timer_at (0: none).
function counters.row(raw)
  return sub(raw, counters.ROW_FROM, counters.ROW_TO)
end

-- The same, written over those of another partition, which a joint call needs no longer: at half the cost.
local function unpack_over(counts, raw)
  local _, ready_at, timer_at, newer_at
  _, counts.seq, counts.lease, counts.minute, counts.enqueued_now, counts.given_now, counts.enqueued, counts.queued,
    counts.delayed, counts.leased, counts.finished, counts.dead, counts.cancelled, ready_at, timer_at, newer_at =
    unpack_bytes(counters.FORMAT, raw)
  counts.ready_at, counts.timer_at = ready_at > 0 and ready_at, timer_at > 0 and timer_at
  counts.newer, counts.is_known = newer_at <= #raw and sub(raw, newer_at), true
  return counts
end

local function last_numbers(own)
  local raw = call('HGET', own.keys[KEY.counters], ':last')
  if not raw then return 0, 0 end
  own.last = raw
  return unpack_bytes(counters.LAST, raw)
end

-- The counts of a type that has no record.
local function new(own)
  local seq, lease = last_numbers(own)
  return {seq = seq, lease = lease, minute = 0, enqueued_now = 0, given_now = 0, enqueued = 0, queued = 0, delayed = 0,
    leased = 0, finished = 0, dead = 0, cancelled = 0, ready_at = false, timer_at = false, newer = false,
    is_known = false}
end

local function pack(counts)
  local queued, delayed, leased, dead = counts.queued, counts.delayed, counts.leased, counts.dead
  return pack_bytes(counters.FORMAT, 1, counts.seq, counts.lease, counts.minute, counts.enqueued_now,
    counts.given_now, counts.enqueued, queued > 0 and queued or 0, delayed > 0 and delayed or 0,
    leased > 0 and leased or 0, counts.finished, dead > 0 and dead or 0, counts.cancelled, counts.ready_at or 0,
    counts.timer_at or 0) .. (counts.newer or '')
end

-- Counts another minute from now on; what the last one had goes to that of all types, unless this is ten minutes newer.
local function turn_minute(own, counts, minute)
  local past, enqueued, given = counts.minute, counts.enqueued_now, counts.given_now
  counts.minute, counts.enqueued_now, counts.given_now = minute, 0, 0
  if enqueued + given == 0 then return end
  local field = ':m' .. past % 10
  local raw = call('HGET', own.keys[KEY.counters], field)
  if raw then
    local stored, others_enqueued, others_given = unpack_bytes(counters.MINUTE, raw)
    if stored > past and stored < minute + 10 then return end
    if stored == past then enqueued, given = enqueued + others_enqueued, given + others_given end
  end
  own.past_minute = {field, pack_bytes(counters.MINUTE, past, enqueued, given)}
end

-- Reads the counts, and sets the time of the call. at_most: as for clock.set.
function counters.open(own, at_most)
  local key, told, raw = own.keys[KEY.counters], own.now, nil
  if clock.is_set(own, at_most) then
    raw = call('HGET', key, own.type)
  else
    local found = call('HMGET', key, own.type, clock.FIELD)
    raw = found[1]
    clock.set(own, found[2], at_most)
  end
  local counts = not raw and new(own) or own.counters and unpack_over(own.counters, raw) or counters.unpack(raw)
  local minute = (told - told % counters.MINUTE_US) / counters.MINUTE_US
  own.counters = counts
  if counts.minute ~= minute then turn_minute(own, counts, minute) end
end

local function write_past_minute(own)
  local past = own.past_minute
  if past then
    call('HSET', own.keys[KEY.counters], past[1], past[2])
    own.past_minute = nil
  end
end

-- Drops the record when the type has no job, letter, queue or timer. Its newest numbers and its latest minute are kept
-- with those of the others.
function counters.drop_blank(own)
  local counts = own.counters
  if not counts.is_known or counts.queued + counts.delayed + counts.leased + counts.dead > 0 or counts.timer_at
    or call('HLEN', own.keys[KEY.queues]) > 0 then return end
  local seq, lease = last_numbers(own)
  turn_minute(own, counts, counts.minute)
  write_past_minute(own)
  call('HSET', own.keys[KEY.counters], ':last',
    pack_bytes(counters.LAST, math.max(seq, counts.seq), math.max(lease, counts.lease)))
  call('HDEL', own.keys[KEY.counters], own.type)
end

-- So many dead letters are gone for good.
function counters.cancel_dead(own, count)
  local counts = own.counters
  counts.dead, counts.cancelled = counts.dead - count, counts.cancelled + count
end

local function write(own, key, field, value)
  if own.tick then
    call('HSET', key, field, value, clock.FIELD, own.tick)
    own.tick = nil
  else
    call('HSET', key, field, value)
  end
end

-- Writes even when nothing changed, so that a WAIT after the call covers what the call has read: where types are gone,
-- the last numbers. But a call about what never existed creates nothing.
function counters.close(own)
  local counts, key = own.counters, own.keys[KEY.counters]
  write_past_minute(own)
  if counts.is_known or counts.enqueued > 0 or counts.timer_at then
    write(own, key, own.type, pack(counts))
  elseif own.last then
    write(own, key, ':last', own.last)
  end
end
