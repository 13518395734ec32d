-- list_queue_stats: return a page of the queues of a type with their statistics. Writes nothing.
--
-- Keys: queues counters deadcounts
-- Args: now, type, scan ('0' at first), approximate number of records to read, and '1' for the defaults of the lives of
--       jobs, which nodes of revision 4 cannot decode, or '2' for these and the windows, which nodes of revision 5
--       cannot decode
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), then for each queue: queue_id, {as get_queue with its
--        limits, but no age of its head}}
-- Cost: O(records read). A whole scan returns every queue that exists throughout at least once.
--
-- Uses: shortcuts, clock, queue_record, counters, dead_letters, queue_stats

local list_queue_stats = {}

function list_queue_stats.run(tx, args)
  counters.see(tx)
  local page = call('HSCAN', tx.keys[KEY.queues], args[3], 'COUNT', args[4])
  local reply, ids, queues = {0, clock.told(tx), -1, -1, page[1]}, {}, {}
  for index = 1, #page[2], 2 do
    local queue_id = page[2][index]
    local queue = queue_record.unpack(queue_id, page[2][index + 1], tx.now)
    if queue then ids[#ids + 1], queues[#queues + 1] = queue_id, queue end
  end
  local counts = dead_letters.counts(tx, ids)
  for index, queue in ipairs(queues) do
    local row = queue_stats.row(tx, queue, -1)
    queue_stats.add_limits(tx, queue, counts[index], row)
    if args[5] then queue_stats.add_life(queue, row) end
    if args[5] == '2' then queue_stats.add_window(tx, queue, row) end
    queue_stats.add_minutes(queue, row)
    reply[#reply + 1], reply[#reply + 2] = ids[index], row
  end
  return reply
end
