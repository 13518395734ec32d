-- top_queues: return the queues of a type that wait longest, hold most jobs or have most dead letters. Writes nothing.
--
-- Keys: ready queued jobs queues counters deadcounts parked capsets (nodes before revision 9 do not declare deadcounts)
-- Args: now, type, 'age', 'depth' or 'dead', most queues to return, scan ('0' at first), approximate number of records
--       to read; age uses neither of the last two, because ages are in order already
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), number of records read, then for each queue:
--        queue_id, queued, delayed, leased, due since (µs) or -1, age of its head (µs) or -1; with 'dead':
--        queue_id, number of its dead letters}
-- Cost: age O(log n) a queue returned, and 200 + 16 times as much with caps; depth and dead O(records read). A whole
--       scan may return a queue twice.
--
-- Uses: shortcuts, clock, queue_record, counters, parking, dead_letters, unit

local top_queues = {
  SETS = 200,  -- cap sets to look at for the longest due queues, those without changes for longest first
  DEEP = 16,   -- cap sets of which more than the first queue is looked at
}

-- Order pairs of id and time by the time.
local function is_earlier(left, right)
  return left[2] < right[2]
end

-- Add the due queues among members of parked to a list of pairs of id and time.
local function add_members(due, places)
  for _, member in ipairs(places) do
    local _, at, queue_id = parking.unpack(member)
    due[#due + 1] = {queue_id, at}
  end
end

-- Add the longest due queues with caps to a list of pairs of id and time.
local function add_parked(tx, due, limit)
  local heads = {}
  for _, number in ipairs(call('ZRANGE', parking.sets_key(tx), 0, top_queues.SETS - 1)) do
    local cap_set = unpack_bytes(parking.NUMBER, number)
    local head = parking.heads(tx, cap_set, tx.now, 1)[1]
    if head then
      local _, at = parking.unpack(head)
      heads[#heads + 1] = {cap_set, at}
    end
  end
  table.sort(heads, is_earlier)
  for index, head in ipairs(heads) do
    add_members(due, parking.heads(tx, head[1], tx.now, index <= top_queues.DEEP and limit or 1))
  end
end

-- Return the ids of the due queues of a type with caps, longest due first.
local function with_parked(tx, limit)
  local row = call('ZRANGE', tx.keys[KEY.ready], '-inf', tx.now, 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES')
  local due, ids = {}, {}
  for index = 1, #row, 2 do due[#due + 1] = {row[index], tonumber(row[index + 1])} end
  add_parked(tx, due, limit)
  table.sort(due, is_earlier)
  for index = 1, math.min(#due, limit) do ids[index] = due[index][1] end
  return ids
end

-- Return the due queues, longest due first, the end of the scan, and the number of records read.
local function longest_due(tx, limit)
  local raw = call('HGET', tx.keys[KEY.counters], tx.type)
  local row = raw and counters.has_caps(counters.unpack(raw)) and with_parked(tx, limit)
    or call('ZRANGE', tx.keys[KEY.ready], '-inf', tx.now, 'BYSCORE', 'LIMIT', 0, limit)
  if #row > 0 then unit.read_queues(tx, row, 1, #row) end
  local queues = {}
  for _, queue_id in ipairs(row) do
    local queue = unit.queue(tx, queue_id)
    if queue and queue.ready_score then queues[#queues + 1] = queue end
  end
  return queues, '0', #row
end

-- Order queues by depth, deepest first, then by id.
local function is_deeper(a, b)
  local left, right = a.queued + a.delayed, b.queued + b.delayed
  if left ~= right then return left > right end
  return a.queue_id < b.queue_id
end

-- Return the deepest queues of the next page, the next scan, and the number of records read.
local function deepest(tx, limit, scan, count)
  local page = call('HSCAN', tx.keys[KEY.queues], scan, 'COUNT', count)
  local queues = {}
  for index = 1, #page[2], 2 do
    local queue = queue_record.unpack(page[2][index], page[2][index + 1], tx.now)
    if queue and queue.queued + queue.delayed > 0 then queues[#queues + 1] = queue end
  end
  table.sort(queues, is_deeper)
  return {unpack(queues, 1, limit)}, page[1], #page[2] / 2
end

-- Order queues by their dead letters, most first, then by id.
local function has_more_dead(left, right)
  if left.dead ~= right.dead then return left.dead > right.dead end
  return left.queue_id < right.queue_id
end

-- Return the reply about the queues with most dead letters of the next page. A queue may have no record any more.
local function most_dead(tx, limit, scan, count)
  local page = dead_letters.scan_counts(tx, scan, count)
  local queues, reply = {}, {0, clock.store_time(tx), -1, -1, page[1], #page[2] / 2}
  for index = 1, #page[2], 2 do
    local queue_id = page[2][index]
    if queue_id ~= '' then
      queues[#queues + 1] = {queue_id = queue_id, dead = dead_letters.number(page[2][index + 1])}
    end
  end
  table.sort(queues, has_more_dead)
  for index = 1, math.min(#queues, limit) do
    reply[#reply + 1], reply[#reply + 2] = queues[index].queue_id, queues[index].dead
  end
  return reply
end

-- Return since when a queue is due (µs, the store's clock), or -1 if it is not.
local function due_since(tx, queue)
  local score = queue.parked_at or tonumber(call('ZSCORE', tx.keys[KEY.ready], queue.queue_id) or tx.now + 1)
  return score <= tx.now and clock.shown(tx, score) or -1
end

function top_queues.run(tx, args)
  clock.read(tx)
  local limit = tonumber(args[4])
  if args[3] == 'dead' then return most_dead(tx, limit, args[5], args[6]) end
  local queues, scan, looked_at
  if args[3] == 'age' then
    queues, scan, looked_at = longest_due(tx, limit)
  else
    queues, scan, looked_at = deepest(tx, limit, args[5], args[6])
  end
  local reply = {0, clock.store_time(tx), -1, -1, scan, looked_at}
  for _, queue in ipairs(queues) do
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = queue.queue_id, queue.queued, queue.delayed
    reply[at + 4], reply[at + 5], reply[at + 6] = queue.leased, due_since(tx, queue), unit.head_age(tx, queue)
  end
  return reply
end
