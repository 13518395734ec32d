-- The part of a queue's record about named caps. It follows queue_windows.lua's, and only queues with caps have it.
--
-- queue.cap_set     the number of the set of its caps (cap_sets.lua); nil: it has none
-- queue.parked_at   the time (µs) under which it stands in parked:<type> (parking.lua); nil: it does not
-- queue.parked_set  the set under which it stands there, which is another one if the call changes its caps
-- queue.counted      how many of its jobs are counted as queued for queue.counted_set (cap_sets.lua)
--
-- Uses: shortcuts

local queue_caps = {
  FORMAT = '>I4I7',  -- number of the set, parked at (0: not); then bytes of a newer version
  LENGTH = 11,
}

-- Read this part of a record, from raw[first] on.
function queue_caps.unpack(queue, raw, first)
  if #raw < first + queue_caps.LENGTH - 1 then
    queue.newer_limits = sub(raw, first)
    return
  end
  local number, at, rest = unpack_bytes(queue_caps.FORMAT, raw, first)
  if number > 0 then queue.cap_set, queue.counted_set, queue.counted = number, number, queue.queued end
  if at > 0 then queue.parked_at, queue.parked_set = at, number end
  if rest <= #raw then queue.newer_limits = sub(raw, rest) end
end

-- Return this part of a record, or what a newer version wrote if this part says nothing.
function queue_caps.pack(queue)
  if not queue.cap_set and queue.newer_limits == '' then return '' end
  return pack_bytes(queue_caps.FORMAT, queue.cap_set or 0, queue.parked_at or 0) .. queue.newer_limits
end
