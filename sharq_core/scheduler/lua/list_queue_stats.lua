-- list_queue_stats: return a page of the queues of a type with their statistics, first those of which only dead letters
-- are left. Writes nothing.
--
-- Keys: queued jobs queues counters deadcounts (nodes before revision 9 declare neither queued nor jobs)
-- Args: now, type, scan ('0' at first), approximate number of records to read, and '1' for the defaults of the lives of
--       jobs, which nodes of revision 4 cannot decode, or '2' for these and the windows, which nodes of revision 5
--       cannot decode, or '3' for these and the caps, which nodes of revision 9 cannot decode; then '1' for the ages of
--       the heads ('': none), and a glob pattern of the ids ('': every id) with the approximate number of records to
--       compare with it
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), then for each queue: queue_id, {as get_queue with its
--        limits; no age of its head unless asked for}}
-- Cost: O(records read); a comparison costs a tenth of a record, and a queue with a record and dead letters half of
--       one. A whole scan returns every queue that exists throughout at least once, unless its record is forgotten
--       meanwhile.
--
-- Uses: shortcuts, clock, queue_record, counters, dead_letters, unit, queue_stats

local list_queue_stats = {}

-- A scan from this number on is one of the counts of dead letters. The store's own scans are below its table's size.
local OF_COUNTS = 2 ^ 52

-- Return about `count` ids of a hash that match a pattern, each followed by its value, and the next scan. Fewer are
-- returned if `limit` ids have been compared. read(scan): returns a page as HSCAN does.
local function matching(read, scan, count, limit)
  local entries, compared = {}, 0
  repeat
    local page = read(scan)
    for _, part in ipairs(page[2]) do entries[#entries + 1] = part end
    scan, compared = page[1], compared + count
  until scan == '0' or compared >= limit or #entries >= 2 * count
  return entries, scan
end

-- Return the queues with dead letters and without a record of a page of the counts, and the next scan, '0' at the end.
local function read_counts(tx, scan, count, pattern, limit)
  local entries, next_scan = matching(function(from)
    return dead_letters.scan_counts(tx, from, count, pattern)
  end, scan, count, limit)
  local ids, queues = {}, {}
  for index = 1, #entries, 2 do
    if entries[index] ~= '' then ids[#ids + 1] = entries[index] end
  end
  if #ids > 0 then unit.read_queues(tx, ids, 1, #ids) end
  for _, queue_id in ipairs(ids) do
    if not unit.queue(tx, queue_id) then queues[#queues + 1] = queue_stats.without_record(queue_id) end
  end
  return queues, next_scan
end

-- Add the queues of a page of the records to a list. Returns the next scan.
local function read_records(tx, scan, count, pattern, limit, queues)
  local records, next_scan = matching(function(from)
    return call('HSCAN', tx.keys[KEY.queues], from, 'MATCH', pattern, 'COUNT', count)
  end, scan, count, limit)
  for index = 1, #records, 2 do
    local queue = queue_record.unpack(records[index], records[index + 1], tx.now)
    if queue then queues[#queues + 1] = queue end
  end
  return next_scan
end

-- Return the queues of the next page, and the scan to continue with. The records follow the counts at once, because
-- few types have dead letters.
local function read_page(tx, args)
  local scan, count, pattern, limit = tonumber(args[3]), tonumber(args[4]), args[7], tonumber(args[8])
  if not pattern or pattern == '' then pattern, limit = '*', 0 end
  local queues, next_scan = {}, nil
  if scan == 0 or scan >= OF_COUNTS then
    local from = scan == 0 and '0' or string.format('%.0f', scan - OF_COUNTS)
    queues, next_scan = read_counts(tx, from, count, pattern, limit)
    if next_scan ~= '0' then return queues, string.format('%.0f', tonumber(next_scan) + OF_COUNTS) end
  end
  next_scan = read_records(tx, next_scan or args[3], count, pattern, limit, queues)
  return queues, next_scan
end

function list_queue_stats.run(tx, args)
  counters.see(tx)
  local queues, scan = read_page(tx, args)
  local reply, ids = {0, clock.store_time(tx), -1, -1, scan}, {}
  for index, queue in ipairs(queues) do ids[index] = queue.queue_id end
  local counts = dead_letters.counts(tx, ids)
  for index, queue in ipairs(queues) do
    local row = queue_stats.row(tx, queue, args[6] == '1' and unit.head_age(tx, queue) or -1)
    queue_stats.add_limits(tx, queue, counts[index], row, args[5] == '3')
    if args[5] then queue_stats.add_life(queue, row) end
    if args[5] and args[5] >= '2' then queue_stats.add_window(tx, queue, row) end
    if args[5] == '3' then queue_stats.add_caps(tx, queue, row) end
    queue_stats.add_minutes(queue, row)
    reply[#reply + 1], reply[#reply + 2] = ids[index], row
  end
  return reply
end
