-- extend: move the end of a lease to now + by; a job that waits again under its newest lease is taken back in hand.
--
-- Keys: ready queued jobs timers queues agenda counters done0 done1 deadjobs dead
-- Args: now, type, retention of finished jobs (µs), of dead letters (µs),
--       then four a job: queue_id, job_id, token, by (µs)
-- Reply: {0, now, ready hint, timer hint, status and new end (µs, or 0) for each job}
-- Statuses: 0 done, 1 not found, 2 lost; 1 and 2 changed nothing
-- Cost: O(log n) a job

local extend = {}

local function extend_one(own, queue_id, job_id, token, by, retention, dead_retention)
  local job, found = leases.find(own, queue_id, job_id, token, 'extend', retention, dead_retention)
  if not job then return found, 0 end
  transitions.lease(own, found, job, own.now + by)
  unit.touch(own, found, true)
  return leases.DONE, job.due
end

function extend.run(own, args)
  local retention, dead_retention = tonumber(args[3]), tonumber(args[4])
  counters.open(own)
  local reply = {0, own.now, -1, -1}
  for at = 5, #args, 4 do
    reply[#reply + 1], reply[#reply + 2] = extend_one(own, args[at], args[at + 1], args[at + 2],
      tonumber(args[at + 3]), retention, dead_retention)
  end
  return unit.close(own, reply)
end
