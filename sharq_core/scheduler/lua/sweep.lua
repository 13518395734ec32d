-- Removes what a deleted queue's fence left behind, a bounded number of jobs at a time.

local sweep = {}

local function sweep_lane(own, queue, lane, limit)
  local from, to = job_record.range(queue.queue_id, lane, 0, queue.fence)
  local members = redis.call('ZRANGE', own.keys.queued, from, to, 'BYLEX', 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    local job_id, seq = job_record.parse_member(queue.queue_id, member)
    local job = unit.job(own, queue.queue_id, job_id)
    own.members[member] = false
    if job and job.seq == seq then transitions.clear_deleted(own, queue, job) end
  end
  return #members
end

-- Removes up to limit jobs and returns how many; queue.is_unswept stays true while there may be more.
function sweep.run(own, queue, limit)
  local count = sweep_lane(own, queue, job_record.PRIORITY_LANE, limit)
  if count < limit then count = count + sweep_lane(own, queue, job_record.DELAYED_LANE, limit - count) end
  queue.is_unswept = count >= limit
  unit.touch(own, queue)
  return count
end
