-- The counters of a partition: one record of its numbers and one of each type's totals, read and written once a call.
--
-- counters  head -> numbers of the newest job and of the newest lease; the counts of the current minute; tombstones in
--                   the younger generation
--           m<0-9> -> minute, enqueued, leased of an older minute (by its last digit)
--           t:<type> -> totals: enqueued = queued + delayed + leased + finished + dead + cancelled (I8); and the
--                   agenda: when the type's next queue and its next timer are due, early perhaps, never late; 0 none
--           gen, turn -> when the younger generation began; when the generations turn, early perhaps (tombstones.lua)
--           early -> tombstones that went too young

local counters = {
  MINUTE_US = 60000000,
  HEAD = '>BI7I7I4I7I7I4',        -- format, seq, lease, minute, enqueued, leased, stones; then bytes of a newer version
  MINUTE = '>I4I7I7',
  TOTALS = '>BI7I7I7I7I7I7I7I7I7', -- format, the totals by NAMES, ready_at, timer_at; then bytes of a newer version
  NAMES = {'enqueued', 'queued', 'delayed', 'leased', 'finished', 'dead', 'cancelled'},
}

local function unpack_head(raw)
  if not raw then return {seq = 0, lease = 0, minute = 0, enqueued = 0, leased = 0, stones = 0} end
  local _, seq, lease, minute, enqueued, leased, stones, newer_at = struct.unpack(counters.HEAD, raw)
  local head = {seq = seq, lease = lease, minute = minute, enqueued = enqueued, leased = leased, stones = stones}
  if newer_at <= #raw then head.newer = string.sub(raw, newer_at) end
  return head
end

local function pack_head(head)
  return struct.pack(counters.HEAD, 1, head.seq, head.lease, head.minute, head.enqueued, head.leased, head.stones)
    .. (head.newer or '')
end

-- ready_at, timer_at: nil for none. is_known: the type has a record.
function counters.unpack_totals(raw)
  if not raw then
    return {enqueued = 0, queued = 0, delayed = 0, leased = 0, finished = 0, dead = 0, cancelled = 0}
  end
  local _, enqueued, queued, delayed, leased, finished, dead, cancelled, ready_at, timer_at, newer_at =
    struct.unpack(counters.TOTALS, raw)
  local totals = {enqueued = enqueued, queued = queued, delayed = delayed, leased = leased, finished = finished,
    dead = dead, cancelled = cancelled, is_known = true}
  if ready_at > 0 then totals.ready_at = ready_at end
  if timer_at > 0 then totals.timer_at = timer_at end
  if newer_at <= #raw then totals.newer = string.sub(raw, newer_at) end
  return totals
end

local function pack_totals(totals)
  local queued, delayed, leased, dead = totals.queued, totals.delayed, totals.leased, totals.dead
  return struct.pack(counters.TOTALS, 1, totals.enqueued, queued > 0 and queued or 0, delayed > 0 and delayed or 0,
    leased > 0 and leased or 0, totals.finished, dead > 0 and dead or 0, totals.cancelled, totals.ready_at or 0,
    totals.timer_at or 0) .. (totals.newer or '')
end

local function minute_field(minute)
  return 'm' .. minute % 10
end

-- Counts another minute from now on; those of the last one are kept apart. (A clock that stepped back finds its own.)
local function turn_minute(own, minute)
  local head = own.counters
  if head.minute > 0 then
    head.past = {minute_field(head.minute), struct.pack(counters.MINUTE, head.minute, head.enqueued, head.leased)}
  end
  head.minute, head.enqueued, head.leased = minute, 0, 0
  local raw = redis.call('HGET', own.keys[KEY.counters], minute_field(minute))
  if raw then
    local stored, enqueued, leased = struct.unpack(counters.MINUTE, raw)
    if stored == minute then head.enqueued, head.leased, head.moved = enqueued, leased, minute_field(minute) end
  end
end

function counters.open(own)
  local row = redis.call('HMGET', own.keys[KEY.counters], 'head', 't:' .. own.type)
  local head = unpack_head(row[1])
  own.counters, own.totals = head, counters.unpack_totals(row[2])
  local minute = (own.now - own.now % counters.MINUTE_US) / counters.MINUTE_US
  if head.minute ~= minute then turn_minute(own, minute) end
end

-- True when nothing of the type is left to count, and no timer.
function counters.is_blank(own)
  local totals = own.totals
  return totals.queued + totals.delayed + totals.leased + totals.dead == 0 and not totals.timer_at
end

-- So many dead letters are gone for good.
function counters.cancel_dead(own, count)
  local totals = own.totals
  totals.dead, totals.cancelled = totals.dead - count, totals.cancelled + count
end

-- Writes even when nothing changed, so that a WAIT after the call covers what the call has read. But a call about what
-- does not exist creates nothing: no key before the partition's first job, no totals of a type that never had one.
function counters.close(own)
  local head, totals, key = own.counters, own.totals, own.keys[KEY.counters]
  local has_totals = totals.is_known or totals.enqueued > 0 or totals.timer_at
  if head.seq == 0 and not has_totals then return end
  if head.moved then redis.call('HDEL', key, head.moved) end
  if head.past then redis.call('HSET', key, head.past[1], head.past[2]) end
  if has_totals then
    redis.call('HSET', key, 'head', pack_head(head), 't:' .. own.type, pack_totals(totals))
  else
    redis.call('HSET', key, 'head', pack_head(head))
  end
end
