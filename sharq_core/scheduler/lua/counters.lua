-- The counters of a partition, read and written once a call.
--
-- counters  seq   -> number of the partition's newest job
--           lease -> number of its newest lease
--           gen   -> when the current generation of tombstones began, µs
--           m<0-9> -> minute, enqueued, leased (by the last digit of the minute)
--           t:<type> -> totals of a type: enqueued = queued + delayed + leased + finished + dead + cancelled (I8)

local counters = {
  MINUTE = '>I4I7I7',
  TOTALS = '>BI7I7I7I7I7I7I7',  -- and bytes of a newer version
  TOTALS_LENGTH = 50,
  NAMES = {'enqueued', 'queued', 'delayed', 'leased', 'finished', 'dead', 'cancelled'},
}

function counters.unpack_totals(raw)
  if not raw then
    return {enqueued = 0, queued = 0, delayed = 0, leased = 0, finished = 0, dead = 0, cancelled = 0,
      newer = ''}
  end
  local _, enqueued, queued, delayed, leased, finished, dead, cancelled = struct.unpack(counters.TOTALS, raw)
  return {enqueued = enqueued, queued = queued, delayed = delayed, leased = leased, finished = finished, dead = dead,
    cancelled = cancelled, newer = string.sub(raw, counters.TOTALS_LENGTH + 1)}
end

local function pack_totals(totals)
  local queued, delayed, leased, dead = totals.queued, totals.delayed, totals.leased, totals.dead
  return struct.pack(counters.TOTALS, 1, totals.enqueued, queued > 0 and queued or 0, delayed > 0 and delayed or 0,
    leased > 0 and leased or 0, totals.finished, dead > 0 and dead or 0, totals.cancelled) .. totals.newer
end

local function minute_field(minute)
  return 'm' .. minute % 10
end

function counters.open(unit)
  local minute = math.floor(unit.now / 60000000)
  local row = redis.call('HMGET', unit.keys.counters, 'seq', 'lease', 't:' .. unit.type, minute_field(minute))
  local own = {
    seq = tonumber(row[1] or 0), lease = tonumber(row[2] or 0), totals = counters.unpack_totals(row[3]),
    is_known = row[3] and true or false, numbered = false, minute = minute, enqueued = 0, leased = 0,
  }
  if row[4] then
    local stored, enqueued, leased = struct.unpack(counters.MINUTE, row[4])
    if stored == minute then own.enqueued, own.leased = enqueued, leased end
  end
  unit.counters = own
end

-- True when nothing of the type is left to count.
function counters.is_blank(unit)
  local totals = unit.counters.totals
  return totals.queued + totals.delayed + totals.leased + totals.dead == 0
end

-- Writes even when nothing changed, so that a WAIT after the call covers what the call has read. But a call about what
-- does not exist creates nothing: no key before the partition's first job, no totals of a type that never had one.
function counters.close(unit)
  local own = unit.counters
  if own.seq == 0 then return end
  if not (own.is_known or own.totals.enqueued > 0) then
    redis.call('HSET', unit.keys.counters, 'seq', own.seq)
  elseif own.numbered then
    redis.call('HSET', unit.keys.counters, own.numbered, own[own.numbered], minute_field(own.minute),
      struct.pack(counters.MINUTE, own.minute, own.enqueued, own.leased), 't:' .. unit.type, pack_totals(own.totals))
  else
    redis.call('HSET', unit.keys.counters, 't:' .. unit.type, pack_totals(own.totals))
  end
end

-- The number of the next job. A call numbers jobs or leases, never both.
function counters.next_seq(unit)
  local own = unit.counters
  own.seq, own.numbered = own.seq + 1, 'seq'
  return own.seq
end

-- The number of the next lease.
function counters.next_lease(unit)
  local own = unit.counters
  own.lease, own.leased, own.numbered = own.lease + 1, own.leased + 1, 'lease'
  return own.lease
end

-- Adds to the type's totals: counters.move(unit, 'leased', 'finished') for one job; either end may be nil.
function counters.move(unit, from, to, count)
  local totals = unit.counters.totals
  if from then totals[from] = totals[from] - (count or 1) end
  if to then totals[to] = totals[to] + (count or 1) end
end
