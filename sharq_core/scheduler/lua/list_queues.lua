-- list_queues: return a page of the ids of queues with queued, delayed or leased jobs. Writes nothing.
--
-- Keys: queues counters
-- Args: now, type, scan ('0' at first), approximate number of records to read
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), queue_id ...}
-- Cost: O(records read). A whole scan returns every queue that exists throughout at least once.
--
-- Uses: shortcuts, clock, queue_record

local list_queues = {}

function list_queues.run(tx, args)
  clock.read(tx)
  local page = call('HSCAN', tx.keys[KEY.queues], args[3], 'COUNT', args[4])
  local reply = {0, clock.store_time(tx), -1, -1, page[1]}
  for index = 1, #page[2], 2 do
    local queue = queue_record.unpack(page[2][index], page[2][index + 1], tx.now)
    if queue and queue.queued + queue.delayed + queue.leased > 0 then reply[#reply + 1] = queue.queue_id end
  end
  return reply
end
