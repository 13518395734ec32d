-- The part of a queue's record about the lives of its jobs: defaults that an operator set, and what the sweep of
-- expired jobs notes. It follows the limits (queue_limits.lua), and only few queues have it. The part about windows
-- follows it (queue_windows.lua).
--
-- queue.retry         the retry policy of jobs that have none (retry_policy.lua); nil: none
-- queue.expires       how long a job without a time of expiry lives (µs); nil: for ever
-- queue.on_expiry     KEPT or DROPPED, for jobs that do not say it; nil: not set, which means KEPT
-- queue.expires_from  a waiting job may expire at this time (µs), none does before; nil: no waiting job expires
-- queue.walk          where the sweep of expired jobs goes on (expiry.lua): class, seq, and `least`, the earliest time
--                     of expiry that it met; nil: it is not under way
--
-- Uses: shortcuts, retry_policy, queue_windows

local queue_life = {
  KEPT = 1, DROPPED = 2,  -- values of on_expiry: an expired job becomes a dead letter, or goes
  -- after the retry policy: expires (0: none), on_expiry (0: none), expires_from (0: none), the walk: class (0: none),
  -- seq, earliest time; then bytes of a newer version
  FORMAT = '>I6BI7BI8I7',
  LENGTH = 41,
}

-- The bytes of this part if it says nothing.
queue_life.NONE = retry_policy.NONE
  .. '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'

-- Read this part of a record, from raw[first] on.
function queue_life.unpack(queue, raw, first)
  if #raw < first + queue_life.LENGTH - 1 then
    queue.newer_limits = sub(raw, first)
    return
  end
  local expires, on_expiry, expires_from, class, seq, least, at =
    unpack_bytes(queue_life.FORMAT, raw, first + retry_policy.LENGTH)
  local retry = retry_policy.unpack(raw, first)
  if retry then queue.retry = retry end
  if at <= #raw then queue_windows.unpack(queue, raw, at) end
  if expires > 0 then queue.expires = expires end
  if on_expiry > 0 then queue.on_expiry = on_expiry end
  if expires_from > 0 then queue.expires_from = expires_from end
  if class > 0 then queue.walk = {class = class, seq = seq, least = least} end
end

-- Return true if this part says something.
function queue_life.is_known(queue)
  return queue.retry or queue.expires or queue.on_expiry or queue.expires_from or queue.walk
end

-- Return this part of a record, or what a newer version wrote if this part says nothing.
function queue_life.pack(queue)
  local walk, tail = queue.walk, queue_windows.pack(queue)
  if not queue_life.is_known(queue) then return tail == '' and '' or queue_life.NONE .. tail end
  return retry_policy.pack(queue.retry)
    .. pack_bytes(queue_life.FORMAT, queue.expires or 0, queue.on_expiry or 0, queue.expires_from or 0,
      walk and walk.class or 0, walk and walk.seq or 0, walk and walk.least or 0)
    .. tail
end

-- Note that a waiting job expires at a time (µs). Returns true if the sweep must look at the queue earlier than it
-- would. A walk under way may have passed the job's place; the next one begins in time for it.
function queue_life.note_expiry(queue, at)
  local walk, from = queue.walk, queue.expires_from
  if walk then
    if walk.least == 0 or at < walk.least then walk.least = at end
    return false
  end
  if from and from <= at then return false end
  queue.expires_from = at
  return true
end

-- Return true if an operator set something, so that the record is kept.
function queue_life.is_set(queue)
  return queue.retry or queue.expires or queue.on_expiry or queue.window
end
