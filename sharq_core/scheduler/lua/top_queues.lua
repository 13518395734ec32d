-- top_queues: the queues of a type that wait longest or hold most. Writes nothing.
--
-- Keys: ready queued jobs queues counters
-- Args: now, type, 'age' or 'depth', most queues to name, scan ('0' at first), about how many records to look at;
--       the last two are for depth: ages are in order already
-- Reply: {0, now, -1, -1, scan to go on with ('0' at the end), records looked at, then for each: queue_id, queued,
--        delayed, leased, since when it is due (µs) or -1, age of its head or -1}
-- Cost: age O(log n) a queue named, depth O(records looked at). Of a whole scan a queue may be named twice.

local top_queues = {}

-- The queues that are due, longest due first.
local function longest_due(own, limit)
  local row = call('ZRANGE', own.keys[KEY.ready], '-inf', own.now, 'BYSCORE', 'LIMIT', 0, limit)
  if #row > 0 then unit.read_queues(own, row, 1, #row) end
  local found = {}
  for _, queue_id in ipairs(row) do
    local queue = unit.queue(own, queue_id)
    if queue and queue.place then found[#found + 1] = queue end
  end
  return found, '0', #row
end

local function is_deeper(a, b)
  local left, right = a.queued + a.delayed, b.queued + b.delayed
  if left ~= right then return left > right end
  return a.queue_id < b.queue_id
end

-- The deepest of the next records of a scan.
local function deepest(own, limit, scan, count)
  local page = call('HSCAN', own.keys[KEY.queues], scan, 'COUNT', count)
  local found = {}
  for index = 1, #page[2], 2 do
    local queue = queue_record.unpack(page[2][index], page[2][index + 1], own.now)
    if queue and queue.queued + queue.delayed > 0 then found[#found + 1] = queue end
  end
  table.sort(found, is_deeper)
  return {unpack(found, 1, limit)}, page[1], #page[2] / 2
end

local function due_since(own, queue)
  local score = tonumber(call('ZSCORE', own.keys[KEY.ready], queue.queue_id) or own.now + 1)
  return score <= own.now and clock.shown(own, score) or -1
end

function top_queues.run(own, args)
  clock.read(own)
  local limit = tonumber(args[4])
  local found, scan, looked_at
  if args[3] == 'age' then
    found, scan, looked_at = longest_due(own, limit)
  else
    found, scan, looked_at = deepest(own, limit, args[5], args[6])
  end
  local reply = {0, clock.told(own), -1, -1, scan, looked_at}
  for _, queue in ipairs(found) do
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = queue.queue_id, queue.queued, queue.delayed
    reply[at + 4], reply[at + 5], reply[at + 6] = queue.leased, due_since(own, queue), unit.head_age(own, queue)
  end
  return reply
end
