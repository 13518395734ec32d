-- get_job: return one job. Writes nothing.
--
-- Keys: queued jobs queues done0 done1 deadjobs counters notes results
-- Args: now, type, queue_id, field (queue_id:job_id), retention of finished jobs (µs), retention of dead letters (µs),
--       and for the job as job_status.lua tells it, which nodes of revision 4 cannot decode: '1', or '2' with its
--       progress or result, which nodes of revision 5 cannot decode, or '3' with its trace, which nodes of revision 7
--       cannot decode, or '4' with the reason why it waits, which nodes of revision 14 cannot decode
-- Reply: {0, now, -1, -1} for an unknown job, else {0, now, -1, -1, then as job_status.add}, or for nodes of revision 4
--        {0, now, -1, -1, state, attempt, enqueued, due, position, payload}
--        state: 1 queued, 2 delayed, 3 leased, 4 dead, 5 finished. enqueued, due: µs; due as in job_record.unpack, 0
--        for a finished job. position: 1 for the next job of the queue, 0 for a job that is not queued
-- Cost: O(log n)
--
-- Uses: clock, job_record, counters, unit, remembered, job_status

local get_job = {}

-- Append a live job or a dead letter as nodes of revision 4 read it.
local function append_short(tx, reply, job, position)
  local values = {job.state, job.attempt, clock.shown(tx, job.enqueued), clock.shown(tx, job.due), position,
    job_record.payload(job)}
  for _, value in ipairs(values) do reply[#reply + 1] = value end
end

function get_job.run(tx, args)
  local queue_id, field = args[3], args[4]
  job_status.ask(tx, args[7])
  -- The default window of the type is one of its settings.
  if tx.tells_output then counters.see(tx) else clock.read(tx) end
  local queue, reply = unit.queue(tx, queue_id), {0, clock.store_time(tx), -1, -1}
  local job = unit.job(tx, queue_id, field)
  local is_deleted = job and unit.is_deleted(queue, job)
  local add = args[7] and job_status.add or append_short
  if job and queue and not is_deleted then
    add(tx, reply, job, job.state == QUEUED and job_status.position(tx, queue, job) or 0)
    return reply
  end
  local state, remains = remembered.find(tx, queue_id, field, is_deleted and job, tonumber(args[5]), tonumber(args[6]),
    not args[7])
  if state == DEAD then
    add(tx, reply, remains, 0)
  elseif state and args[7] then
    job_status.add_remembered(tx, reply, state, field, remains)
  elseif state then
    return {0, clock.store_time(tx), -1, -1, state, remains.attempt, clock.shown(tx, remains.enqueued), 0, 0, ''}
  end
  return reply
end
