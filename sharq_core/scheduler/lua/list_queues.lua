-- list_queues: some ids of queues that have queued, delayed or leased jobs. Writes nothing.
--
-- Keys: queues counters
-- Args: now, type, scan ('0' at first), about how many records to look at
-- Reply: {0, now, -1, -1, scan to go on with ('0' at the end), queue_id ...}
-- Cost: O(records looked at). Of the whole scan every queue that is there throughout is named once or more.

local list_queues = {}

function list_queues.run(own, args)
  clock.read(own)
  local page = call('HSCAN', own.keys[KEY.queues], args[3], 'COUNT', args[4])
  local reply = {0, clock.told(own), -1, -1, page[1]}
  for index = 1, #page[2], 2 do
    local queue = queue_record.unpack(page[2][index], page[2][index + 1], own.now)
    if queue and queue.queued + queue.delayed + queue.leased > 0 then reply[#reply + 1] = queue.queue_id end
  end
  return reply
end
