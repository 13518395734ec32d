-- The reasons why a queue or a type may not be leased from, as numbers. If there are several, the smallest counts. 0:
-- none. limits.py has the names in the same order.
--
-- Uses: job_record, queue_limits, type_settings, lines

local blocked_by = {
  NOTHING = 0, ALL_PAUSED = 1, TYPE_PAUSED = 2, PAUSED = 3, TYPE_HOLD = 4, HOLD = 5, EMPTY = 6, DELAYED = 7,
  WINDOW = 8, QUOTA = 9, TYPE_MAX_LEASED = 10, MAX_LEASED = 11, TYPE_RATE = 12, RATE = 13,
  CAP = 14,  -- perhaps: only the caps of the queue may hold it back. Callers of revision 9 cannot decode it
}

-- Return the first of two reasons, if there is any.
function blocked_by.first(left, right)
  if left == 0 or right == 0 then return left + right end
  return math.min(left, right)
end

-- Return the first reason that lies in the type, and when the type may be leased from as far as it says (µs; false if
-- that is not known). settings: nil for none. leased: number of the type's leases.
function blocked_by.of_type(is_all_paused, settings, leased, now)
  if is_all_paused then return blocked_by.ALL_PAUSED, false end
  if not settings then return blocked_by.NOTHING, 0 end
  if settings.is_paused then return blocked_by.TYPE_PAUSED, false end
  local ready_at, is_full = type_settings.ready_at(settings), type_settings.is_full(settings, leased)
  local reason = blocked_by.NOTHING
  if settings.held_until > now then
    reason = blocked_by.TYPE_HOLD
  elseif settings.quota_at > now then
    reason = blocked_by.QUOTA
  elseif is_full then
    reason = blocked_by.TYPE_MAX_LEASED
  elseif ready_at > now then
    reason = blocked_by.TYPE_RATE
  end
  return reason, not is_full and ready_at
end

-- Return the first reason that lies in the queue behind all about its jobs.
local function of_open_queue(queue, now)
  if queue_limits.is_full(queue) then return blocked_by.MAX_LEASED end
  if queue.tat > now then return blocked_by.RATE end
  return queue.cap_set and blocked_by.CAP or blocked_by.NOTHING
end

-- Return the first reason that lies in the queue itself.
function blocked_by.of_queue(tx, queue)
  local held_until, now = queue.held_until, tx.now
  if queue.is_paused then return blocked_by.PAUSED end
  if held_until and held_until > now then return blocked_by.HOLD end
  if queue.queued == 0 then return queue.delayed > 0 and blocked_by.DELAYED or blocked_by.EMPTY end
  if lines.are_closed(tx, queue) then return blocked_by.WINDOW end
  return of_open_queue(queue, now)
end

-- Return the first reason why a waiting job is not leased, in its type, its queue or itself. Jobs before it are none.
function blocked_by.of_job(tx, queue, job)
  local held_until, now = queue.held_until, tx.now
  local own
  if queue.is_paused then
    own = blocked_by.PAUSED
  elseif held_until and held_until > now then
    own = blocked_by.HOLD
  elseif job.state == DELAYED then
    own = blocked_by.DELAYED
  elseif lines.hold_back(tx, queue, job.newer) then
    own = blocked_by.WINDOW
  else
    own = of_open_queue(queue, now)
  end
  local leased = tx.counters and tx.counters.leased or 0
  return blocked_by.first(blocked_by.of_type(tx.is_all_paused, tx.settings, leased, now), own)
end
