-- The sweep removes the jobs below a deleted queue's fence, a bounded number at a time.
--
-- Uses: shortcuts, job_record, queue_record, lines, unit, transitions

local sweep = {}

-- Remove jobs of a class. A queue without a fence is a new one, created after the deleted queue whose timer still
-- stands: it keeps all its jobs.
local function sweep_class(tx, queue, class, limit)
  local from, to = job_record.range(queue.queue_id, string.char(class), nil, queue.fence or 0)
  local members = call('ZRANGE', tx.keys[KEY.queued], from, to, 'BYLEX', 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    local queue_id = queue.queue_id
    local job = unit.job(tx, queue_id, queue_id .. ':' .. job_record.id_of_member(queue_id, member))
    if job and job.seq == job_record.seq_of_member(queue_id, member) then
      transitions.clear_deleted(tx, job)
    else
      unit.drop_place(tx, member)
    end
  end
  return #members
end

-- Remove up to `limit` jobs. Returns how many. queue.is_unswept stays true while there may be more.
function sweep.run(tx, queue, limit)
  local count, bases = 0, {lines.MAIN}
  for _, line in ipairs(queue.lines or {}) do bases[#bases + 1] = line.base end
  for _, base in ipairs(bases) do
    for class = base, base + job_record.LINE_WIDTH - 1 do
      if count < limit then count = count + sweep_class(tx, queue, class, limit - count) end
    end
  end
  if count < limit then count = count + sweep_class(tx, queue, string.byte(job_record.DELAYED_CLASS), limit - count) end
  queue_record.flag(queue, 'is_unswept', count >= limit)
  queue.is_changed = true
  return count
end
