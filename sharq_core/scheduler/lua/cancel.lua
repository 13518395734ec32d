-- cancel: cancel jobs by their ids. A leased job is cancelled only by force: its lease is then lost.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, terms (unit.TERMS), then for n jobs: n queue ids, n fields (queue_id:job_id), n flags: '1' by force,
--       else '0'
-- Reply: {0, now, ready hint, timer hint, then for each job: status, state before the call (remembered.lua) or 0}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 done (also if the job was cancelled before), 1 not found, 2 leased; only 0 changed anything
-- Cost: O(log n) a job
--
-- Uses: shortcuts, lists, job_record, counters, batches, tombstones, dead_letters, unit, remembered, transitions

local cancel = {DONE = 0, NOT_FOUND = 1, LEASED = 2}

-- Cancel a dead letter, if this call did not cancel it before.
local function cancel_dead(tx, dead_letter)
  tx.letters = append(tx.letters, dead_letter.field)
  counters.cancel_dead(tx, 1)
  batches.drop_letter(tx, dead_letter)
  tombstones.add_unfinished(tx, dead_letter, tombstones.REMOVED)
end

local function cancel_one(tx, queue_id, field, is_forced, retention, dead_retention)
  local queue, job = unit.queue(tx, queue_id), unit.job(tx, queue_id, field)
  local is_deleted = job and unit.is_deleted(queue, job)
  if job and queue and not is_deleted then
    if job.state == LEASED and not is_forced then return cancel.LEASED, 0 end
    local was = job.state
    transitions.cancel(tx, queue, job)
    unit.touch(tx, queue)
    return cancel.DONE, was
  end
  local state, dead_letter = remembered.find(tx, queue_id, field, is_deleted and job, retention, dead_retention)
  if state == DEAD then
    cancel_dead(tx, dead_letter)
  elseif state ~= remembered.CANCELLED then
    return cancel.NOT_FOUND, 0
  end
  return cancel.DONE, state
end

function cancel.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local first_id, count = first + 1, (length - 1) / 3
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  unit.read_queues(tx, args, first_id, count)
  unit.read_jobs(tx, args, first_id + count, count)
  tx.letters = false
  local reply = unit.reply(tx)
  for at = first_id, first + count do
    local status, was = cancel_one(tx, args[at], args[at + count], args[at + 2 * count] == '1', retention,
      dead_retention)
    local last = #reply
    reply[last + 1], reply[last + 2] = status, was
  end
  if tx.letters then dead_letters.remove(tx, tx.letters) end
  return unit.close(tx, reply)
end
