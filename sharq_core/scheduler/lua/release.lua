-- release: give a job back unfinished; it keeps its place, and past its requeue limit it is a dead letter at once.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, terms (unit.TERMS),
--       then of n jobs: n queue ids, n fields (queue_id:job_id), n tokens, n delays (µs), n times 1 when nobody
--       received the lease (its attempt is not counted) or 0
-- Reply: {0, now, ready hint, timer hint, status for each job}
--        or {1, now, -1, -1} when it came after not_after: nothing was done
-- Statuses: 0 done (or the job waits again already), 1 not found, 2 lost, 3 done, and it is a dead letter now;
--           1 and 2 changed nothing
-- Cost: O(log n) a job

local release = {DIED = 3}

local function release_one(own, queue_id, field, token, delay, is_void, retention, dead_retention)
  local job, found = leases.find(own, queue_id, field, token, 'release', retention, dead_retention)
  if not job then return found end
  if job.state ~= LEASED then return leases.DONE end
  if is_void then
    job.attempt, job.token = job.attempt - 1, nil
  else
    job.flags = job_record.RELEASED
  end
  local died = own.died
  transitions.end_lease(own, found, job, own.now + delay)
  unit.touch(own, found)
  return own.died ~= died and release.DIED or leases.DONE
end

function release.run(own, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  if unit.is_late(own, not_after) then return unit.expired(own) end
  local first_id, count = first + 1, (length - 1) / 5
  counters.open(own)
  unit.read_queues(own, args, first_id, count)
  unit.read_jobs(own, args, first_id + count, count)
  local reply = unit.reply(own)
  for at = first_id, first + count do
    reply[#reply + 1] = release_one(own, args[at], args[at + count], args[at + 2 * count],
      tonumber(args[at + 3 * count]), args[at + 4 * count] == '1', retention, dead_retention)
  end
  return unit.close(own, reply)
end
