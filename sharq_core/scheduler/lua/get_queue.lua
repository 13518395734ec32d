-- get_queue: what is known of one queue. Writes nothing.
--
-- Keys: queued jobs queues counters
-- Args: now, type, queue_id
-- Reply: {0, now, -1, -1} for an unknown queue, else {.., interval, burst, pinned, paused, queued, delayed, leased,
--        time until it may be leased from or -1, age of its head or -1, minute, enqueued, leased, ...}
-- Cost: O(log n)

local get_queue = {}

function get_queue.run(own, args)
  clock.read(own)
  local queue, told = unit.queue(own, args[3]), clock.told(own)
  if not queue then return {0, told, -1, -1} end
  local next_ready = queue.place and math.max(queue.tat - own.now, 0) or -1
  local reply = {0, told, -1, -1, queue.interval, queue.burst, queue.is_pinned and 1 or 0,
    queue.is_paused and 1 or 0, queue.queued, queue.delayed, queue.leased, next_ready, unit.head_age(own, queue)}
  for _, row in ipairs(queue_record.minutes(queue)) do
    for _, number in ipairs(row) do reply[#reply + 1] = number end
  end
  return reply
end
