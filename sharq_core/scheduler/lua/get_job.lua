-- get_job: what is known of one job. Writes nothing.
--
-- Keys: queued jobs queues done0 done1 deadjobs counters
-- Args: now, type, queue_id, queue_id:job_id, retention of finished jobs (µs), of dead letters (µs)
-- Reply: {0, now, -1, -1} for an unknown job, else {.., state, attempt, enqueued, due, position, payload}
--        state 1 queued, 2 delayed, 3 leased, 4 dead, 5 finished; due: a lease's end; position: 1 for the next, else 0
-- Cost: O(log n)

local get_job = {FINISHED = 5}

local function position(own, queue, job)
  local lane = string.char(job.priority)
  local from, to = job_record.range(job.queue_id, lane, queue.fence, job.seq)
  return call('ZLEXCOUNT', own.keys[KEY.queued], from, to) + 1
end

function get_job.run(own, args)
  local queue_id, field, retention, dead_retention = args[3], args[4], tonumber(args[5]), tonumber(args[6])
  clock.read(own)
  local queue, told = unit.queue(own, queue_id), clock.told(own)
  local job = unit.job(own, queue_id, field)
  if job and queue and not unit.is_deleted(queue, job) then
    local place = job.state == QUEUED and position(own, queue, job) or 0
    return {0, told, -1, -1, job.state, job.attempt, clock.shown(own, job.enqueued), clock.shown(own, job.due), place,
      job_record.payload(job)}
  end
  local letter = dead_letters.find(own, queue_id, field, dead_retention)
  local stone = tombstones.find(own, field, retention)
  if stone and stone.kind == tombstones.FINISHED and not (letter and letter.died > stone.at) then
    return {0, told, -1, -1, get_job.FINISHED, stone.attempt, clock.shown(own, stone.enqueued), 0, 0, ''}
  end
  if not letter then return {0, told, -1, -1} end
  return {0, told, -1, -1, DEAD, letter.attempt, clock.shown(own, letter.enqueued), clock.shown(own, letter.due), 0,
    job_record.payload(letter)}
end
