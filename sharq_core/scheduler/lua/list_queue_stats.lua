-- list_queue_stats: return a page of the queues of a type with their statistics. Writes nothing.
--
-- Keys: queued jobs queues counters deadcounts (nodes before revision 9 declare neither queued nor jobs)
-- Args: now, type, scan ('0' at first), approximate number of records to read, and '1' for the defaults of the lives of
--       jobs, which nodes of revision 4 cannot decode, or '2' for these and the windows, which nodes of revision 5
--       cannot decode, or '3' for these and the caps, which nodes of revision 9 cannot decode; then '1' for the ages of
--       the heads ('': none), and a glob pattern of the ids ('': every id) with the approximate number of records to
--       compare with it
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), then for each queue: queue_id, {as get_queue with its
--        limits; no age of its head unless asked for}}
-- Cost: O(records read); a comparison costs a tenth of a record. A whole scan returns every queue that exists
--       throughout at least once.
--
-- Uses: shortcuts, clock, queue_record, counters, dead_letters, unit, queue_stats

local list_queue_stats = {}

-- Return about `count` queue ids that match a pattern, each followed by its record, and the next scan. Fewer are
-- returned if `most` records have been compared.
local function matching(tx, scan, count, pattern, most)
  local key, found, compared = tx.keys[KEY.queues], {}, 0
  repeat
    local page = call('HSCAN', key, scan, 'MATCH', pattern, 'COUNT', count)
    for _, part in ipairs(page[2]) do found[#found + 1] = part end
    scan, compared = page[1], compared + count
  until scan == '0' or compared >= most or #found >= 2 * count
  return found, scan
end

-- Return queue ids, each followed by its record, and the next scan.
local function read_page(tx, args)
  if args[7] and args[7] ~= '' then
    return matching(tx, args[3], tonumber(args[4]), args[7], tonumber(args[8]))
  end
  local page = call('HSCAN', tx.keys[KEY.queues], args[3], 'COUNT', args[4])
  return page[2], page[1]
end

function list_queue_stats.run(tx, args)
  counters.see(tx)
  local records, scan = read_page(tx, args)
  local reply, ids, queues = {0, clock.told(tx), -1, -1, scan}, {}, {}
  for index = 1, #records, 2 do
    local queue_id = records[index]
    local queue = queue_record.unpack(queue_id, records[index + 1], tx.now)
    if queue then ids[#ids + 1], queues[#queues + 1] = queue_id, queue end
  end
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
