-- get_queue: return one queue. Writes nothing.
--
-- Keys: queued jobs queues counters
-- Args: now, type, queue_id
-- Reply: {0, now, -1, -1} for an unknown queue, else {0, now, -1, -1, interval (µs), burst, pinned, paused, queued,
--        delayed, leased, time until it may be leased from (µs) or -1, age of its head (µs) or -1, then for each
--        minute: minute, enqueued, leased}
-- Cost: O(log n)
--
-- Uses: clock, queue_record, unit

local get_queue = {}

function get_queue.run(tx, args)
  clock.read(tx)
  local queue, told = unit.queue(tx, args[3]), clock.told(tx)
  if not queue then return {0, told, -1, -1} end
  local next_ready = queue.ready_score and math.max(queue.tat - tx.now, 0) or -1
  local reply = {0, told, -1, -1, queue.interval, queue.burst, queue.is_pinned and 1 or 0,
    queue.is_paused and 1 or 0, queue.queued, queue.delayed, queue.leased, next_ready, unit.head_age(tx, queue)}
  for _, row in ipairs(queue_record.minutes(queue)) do
    for _, number in ipairs(row) do reply[#reply + 1] = number end
  end
  return reply
end
