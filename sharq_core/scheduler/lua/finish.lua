-- finish: the work is done: end the lease and forget the job.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs
-- Args: now, type, terms (unit.TERMS; one that comes after not_after is done, as of that time),
--       then of n jobs: n queue ids, n fields (queue_id:job_id), n tokens ('' for the live lease)
-- Reply: {0, now, ready hint, timer hint, status for each job}
-- Statuses: 0 done (or this lease had done it), 1 not found, 2 lost; 1 and 2 changed nothing
-- Cost: O(log n) a job

local finish = {}

local function finish_one(own, queue_id, field, token, retention, dead_retention)
  local job, found = leases.find(own, queue_id, field, token, 'finish', retention, dead_retention)
  if not job then return found end
  transitions.finish(own, found, job)
  unit.touch(own, found)
  return leases.DONE
end

function finish.run(own, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local first_id, count = first + 1, (length - 1) / 3
  counters.open(own, not_after)
  unit.read_queues(own, args, first_id, count)
  unit.read_jobs(own, args, first_id + count, count)
  local reply = unit.reply(own)
  for at = first_id, first + count do
    reply[#reply + 1] = finish_one(own, args[at], args[at + count], args[at + 2 * count], retention, dead_retention)
  end
  return unit.close(own, reply)
end
