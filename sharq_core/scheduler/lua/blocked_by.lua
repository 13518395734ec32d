-- The reasons why a queue may not be leased from, as numbers. The smallest of several reasons is told. 0: none.
-- limits.py has the names in the same order.
--
-- Uses: queue_limits

local blocked_by = {
  NOTHING = 0, ALL_PAUSED = 1, TYPE_PAUSED = 2, PAUSED = 3, TYPE_HOLD = 4, HOLD = 5, EMPTY = 6, DELAYED = 7,
  WINDOW = 8, QUOTA = 9, TYPE_MAX_LEASED = 10, MAX_LEASED = 11, TYPE_RATE = 12, RATE = 13,
}

-- Return the first reason that lies in the queue itself.
function blocked_by.of_queue(queue, now)
  local held_until = queue.held_until
  if queue.is_paused then return blocked_by.PAUSED end
  if held_until and held_until > now then return blocked_by.HOLD end
  if queue.queued == 0 then return queue.delayed > 0 and blocked_by.DELAYED or blocked_by.EMPTY end
  if queue_limits.is_full(queue) then return blocked_by.MAX_LEASED end
  return queue.tat > now and blocked_by.RATE or blocked_by.NOTHING
end
