-- The counters of a partition, read and written once a call.
--
-- counters  seq   -> number of the partition's newest job
--           lease -> number of its newest lease
--           gen   -> when the current generation of tombstones began, µs
--           m<0-9> -> minute, enqueued, leased (by the last digit of the minute)
--           t:<type> -> totals of a type: enqueued = queued + delayed + leased + finished + dead + cancelled (I8)

local counters = {
  MINUTE = '>I4I7I7',
  TOTALS = '>BI7I7I7I7I7I7I7',
  NAMES = {'enqueued', 'queued', 'delayed', 'leased', 'finished', 'dead', 'cancelled'},
}

function counters.unpack_totals(raw)
  local totals = {}
  if raw then
    local values = {struct.unpack(counters.TOTALS, raw)}
    for index, name in ipairs(counters.NAMES) do totals[name] = values[index + 1] end
  else
    for _, name in ipairs(counters.NAMES) do totals[name] = 0 end
  end
  return totals
end

local function pack_totals(totals)
  local values = {}
  for index, name in ipairs(counters.NAMES) do values[index] = math.max(totals[name], 0) end
  return struct.pack(counters.TOTALS, 1, unpack(values))
end

function counters.open(unit)
  local minute = math.floor(unit.now / 60000000)
  local minute_field = 'm' .. minute % 10
  local row = redis.call('HMGET', unit.keys.counters, 'seq', 'lease', 't:' .. unit.type, minute_field)
  local own = {
    seq = tonumber(row[1] or 0), lease = tonumber(row[2] or 0), totals = counters.unpack_totals(row[3]),
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

function counters.close(unit)
  local own = unit.counters
  redis.call('HSET', unit.keys.counters, 'seq', string.format('%.0f', own.seq), 'lease',
    string.format('%.0f', own.lease), 't:' .. unit.type, pack_totals(own.totals), own.minute_field,
    struct.pack(counters.MINUTE, own.minute, own.enqueued, own.leased))
end

-- Adds to the type's totals: counters.move(unit, 'leased', 'finished') for one job; either end may be nil.
function counters.move(unit, from, to, count)
  local totals = unit.counters.totals
  if from then totals[from] = totals[from] - (count or 1) end
  if to then totals[to] = totals[to] + (count or 1) end
end
