-- get_job: return one job. Writes nothing.
--
-- Keys: queued jobs queues done0 done1 deadjobs counters
-- Args: now, type, queue_id, field (queue_id:job_id), retention of finished jobs (µs), retention of dead letters (µs)
-- Reply: {0, now, -1, -1} for an unknown job, else {0, now, -1, -1, state, attempt, enqueued, due, position, payload}
--        state: 1 queued, 2 delayed, 3 leased, 4 dead, 5 finished. enqueued, due: µs; due as in job_record.unpack, 0
--        for a finished job. position: 1 for the next job of the queue, 0 for a job that is not queued
-- Cost: O(log n)
--
-- Uses: shortcuts, clock, job_record, tombstones, dead_letters, unit

local get_job = {FINISHED = 5}

-- Return the position of a queued job in its queue, from 1.
local function position_of(tx, queue, job)
  local queue_id, key, ahead = job.queue_id, tx.keys[KEY.queued], 0
  for class = job_record.FIRST_PRIORITY, job.priority do
    local from, to = job_record.range(queue_id, string.char(class), queue.fence, class == job.priority and job.seq)
    ahead = ahead + call('ZLEXCOUNT', key, from, to)
  end
  return ahead + 1
end

function get_job.run(tx, args)
  local queue_id, field, retention, dead_retention = args[3], args[4], tonumber(args[5]), tonumber(args[6])
  clock.read(tx)
  local queue, told = unit.queue(tx, queue_id), clock.told(tx)
  local job = unit.job(tx, queue_id, field)
  if job and queue and not unit.is_deleted(queue, job) then
    local position = job.state == QUEUED and position_of(tx, queue, job) or 0
    return {0, told, -1, -1, job.state, job.attempt, clock.shown(tx, job.enqueued), clock.shown(tx, job.due), position,
      job_record.payload(job)}
  end
  local dead_letter = dead_letters.find(tx, queue_id, field, dead_retention)
  local tombstone = tombstones.find(tx, field, retention)
  if tombstone and tombstone.kind == tombstones.FINISHED and not (dead_letter and dead_letter.died > tombstone.at) then
    return {0, told, -1, -1, get_job.FINISHED, tombstone.attempt, clock.shown(tx, tombstone.enqueued), 0, 0, ''}
  end
  if not dead_letter then return {0, told, -1, -1} end
  return {0, told, -1, -1, DEAD, dead_letter.attempt, clock.shown(tx, dead_letter.enqueued),
    clock.shown(tx, dead_letter.due), 0, job_record.payload(dead_letter)}
end
