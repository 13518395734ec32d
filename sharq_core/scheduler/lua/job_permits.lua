-- The permits of a lease: what caps with a number of leases at one time gave with the slots of a dequeue
-- (dequeue_capped.lua). They are in other partitions (permits.lua), and last as long as the lease.
--
-- Permits are bytes: for each the length of the name of its cap, the name, and the serial of its slot (7). A leased
-- job has them in its note, and the flag PERMITTED. When the lease ends, a timer that is due at once names them to the
-- reap, whose node gives them back.
--
-- In a call tx.permits has those for the jobs that it leases, in their order, '' for none.
--
-- Uses: timer_kinds, job_record, notes, unit

local job_permits = {}

-- Give a job that is leased now the next permits of the call. The caller writes the record of the job.
function job_permits.give(tx, job)
  local raw = table.remove(tx.permits, 1)
  if not raw or raw == '' then return end
  notes.set_permits(tx, job, raw)
  job_record.mark(job, job_record.PERMITTED)
end

-- Let the permits of a job whose lease ends be given back, if it has any. The caller writes the record of the job.
function job_permits.settle(tx, job)
  if not job_record.has(job, job_record.PERMITTED) then return end
  unit.put_timer(tx, SETTLE_TIMER .. notes.take_permits(tx, job), tx.now)
  job.flags = job.flags - job_record.PERMITTED + job_record.SETTLED
end
