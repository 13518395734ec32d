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
  local totals = {}
  if raw then
    local values = {struct.unpack(counters.TOTALS, raw)}
    for index, name in ipairs(counters.NAMES) do totals[name] = values[index + 1] end
    totals.newer = string.sub(raw, counters.TOTALS_LENGTH + 1)
  else
    for _, name in ipairs(counters.NAMES) do totals[name] = 0 end
    totals.newer = ''
  end
  return totals
end

local function pack_totals(totals)
  local values = {}
  for index, name in ipairs(counters.NAMES) do values[index] = math.max(totals[name], 0) end
  return struct.pack(counters.TOTALS, 1, unpack(values)) .. totals.newer
end

function counters.open(unit)
  local minute = math.floor(unit.now / 60000000)
  local minute_field = 'm' .. minute % 10
  local row = redis.call('HMGET', unit.keys.counters, 'seq', 'lease', 't:' .. unit.type, minute_field)
  local own = {
    seq = tonumber(row[1] or 0), lease = tonumber(row[2] or 0), totals = counters.unpack_totals(row[3]),
    is_known = row[3] and true or false,
    minute = minute, minute_field = minute_field, enqueued = 0, leased = 0,
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
  redis.call('HSET', unit.keys.counters, 'seq', string.format('%.0f', own.seq), 'lease',
    string.format('%.0f', own.lease), own.minute_field,
    struct.pack(counters.MINUTE, own.minute, own.enqueued, own.leased))
  if own.is_known or own.totals.enqueued > 0 then
    redis.call('HSET', unit.keys.counters, 't:' .. unit.type, pack_totals(own.totals))
  end
end

-- Adds to the type's totals: counters.move(unit, 'leased', 'finished') for one job; either end may be nil.
function counters.move(unit, from, to, count)
  local totals = unit.counters.totals
  if from then totals[from] = totals[from] - (count or 1) end
  if to then totals[to] = totals[to] + (count or 1) end
end
