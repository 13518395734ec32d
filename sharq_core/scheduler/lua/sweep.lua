-- Removes what a deleted queue's fence left behind, a bounded number of jobs at a time.

local sweep = {}

-- A queue without a fence came after the deleted one, whose timer still stands: all its jobs are its own.
local function sweep_lane(own, queue, lane, limit)
  local from, to = job_record.range(queue.queue_id, lane, nil, queue.fence or 0)
  local members = call('ZRANGE', own.keys[KEY.queued], from, to, 'BYLEX', 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    local queue_id = queue.queue_id
    local job = unit.job(own, queue_id, queue_id .. ':' .. job_record.id_of_member(queue_id, member))
    if job and job.seq == job_record.seq_of_member(queue_id, member) then
      transitions.clear_deleted(own, job)
    else
      unit.drop_place(own, member)
    end
  end
  return #members
end

-- Removes up to limit jobs and returns how many; queue.is_unswept stays true while there may be more.
function sweep.run(own, queue, limit)
  local count = sweep_lane(own, queue, job_record.PRIORITY_LANE, limit)
  if count < limit then count = count + sweep_lane(own, queue, job_record.DELAYED_LANE, limit - count) end
  queue_record.flag(queue, 'is_unswept', count >= limit)
  queue.is_changed = true
  return count
end
