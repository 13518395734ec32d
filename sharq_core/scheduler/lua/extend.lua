-- extend: move the end of a lease to now + by; a job that waits again under its newest lease is taken back in hand.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs
-- Args: now, type, terms (unit.TERMS; one that comes after not_after is done, as of that time),
--       then of n jobs: n queue ids, n fields (queue_id:job_id), n tokens, n times by which to extend (µs)
-- Reply: {0, now, ready hint, timer hint, status and new end (µs, or 0) for each job}
-- Statuses: 0 done, 1 not found, 2 lost; 1 and 2 changed nothing
-- Cost: O(log n) a job

local extend = {}

local function extend_one(own, queue_id, field, token, by, retention, dead_retention)
  local job, found = leases.find(own, queue_id, field, token, 'extend', retention, dead_retention)
  if not job then return found, 0 end
  transitions.lease(own, found, job, own.now + by)
  unit.touch(own, found)
  return leases.DONE, clock.shown(own, job.due)
end

function extend.run(own, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local first_id, count = first + 1, (length - 1) / 4
  counters.open(own, not_after)
  unit.read_queues(own, args, first_id, count)
  unit.read_jobs(own, args, first_id + count, count)
  local reply = unit.reply(own)
  for at = first_id, first + count do
    local status, due = extend_one(own, args[at], args[at + count], args[at + 2 * count],
      tonumber(args[at + 3 * count]), retention, dead_retention)
    local last = #reply
    reply[last + 1], reply[last + 2] = status, due
  end
  return unit.close(own, reply)
end
