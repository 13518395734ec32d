-- enqueue: queue jobs of one type, each independently of the others.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, terms (unit.TERMS) followed by the id of the caller's data set (older versions leave it out),
--       then for n jobs: n queue ids, n fields (queue_id:job_id), n headers (HEADER of enqueue_job.lua,
--       for some jobs followed by LIMITS, or by LIMITS, LIFE and a retry policy, or by these and CAMPAIGN, or by these
--       and a trace), n payloads
-- Reply: {0, now, ready hint, timer hint, then for each job: status, number of jobs queued and delayed before it; then,
--        if jobs expired and the caller can decode it, their number and that of those that were dropped}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 queued, 1 duplicate, 2 full, 3 no interval, 4 the job expires before it is due, 5 unknown window, 6 the
--           queue has waiting or leased jobs of too many windows, 7 its batch is cancelled; only 0 changed anything. A
--           waiting job of the same id that has expired is removed first
-- Error: OTHERDATA before any write, if a type would be new in a partition of another data set
-- Cost: O(log n) a job
--
-- Uses: shortcuts, counters, unit, identity, enqueue_job

local enqueue = {}

function enqueue.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local first_id, count = first + 1, (length - 1) / 4
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  if not tx.counters.is_known then identity.require(tx, sub(args[first], unit.TERMS_LENGTH + 1)) end
  unit.read_queues(tx, args, first_id, count)
  unit.read_jobs(tx, args, first_id + count, count)
  local reply = unit.reply(tx)
  for at = first_id, first + count do
    local status, waiting = enqueue_job.enqueue(tx, args[at], args[at + count], args[at + 2 * count],
      args[at + 3 * count], retention, dead_retention)
    local last = #reply
    reply[last + 1], reply[last + 2] = status, waiting
  end
  if tx.expired and string.byte(args[first_id + 2 * count], enqueue_job.FLAGS_AT) >= 2 then
    unit.add_expired(tx, reply)
  end
  return unit.close(tx, reply)
end
