-- finish_with_results: finish jobs as finish does, and keep the results of their work. Unlike finish, it is refused if
-- the store is full; the caller then finishes the jobs without their results.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs notes parked capsets results resulted
-- Args: now, type, terms (unit.TERMS; a call after not_after is done as of that time) and perhaps TELLS_CAPS of
--       reports.lua, most bytes of the partition's results, then for n jobs: n queue ids, n fields (queue_id:job_id), n
--       tokens ('' for the live lease), n reports (reports.lua; '' for none), n results (JSON; '' for none)
-- Reply: {0, now, ready hint, timer hint, then for each job: status; then corrections, as finish}
-- Statuses: 0 done (also if this lease finished the job before), 1 not found, 2 lost; 1 and 2 changed nothing; 3 done,
--           and the result is not kept, because there is no room
-- Cost: O(log n) a job, and O(log n) for each older result that makes room
--
-- Uses: shortcuts, counters, results, unit, reports, leases, endings

local finish_with_results = {NOT_KEPT = 3}

-- Keep the result of a job that this call finished. job: nil if its lease had finished it before.
-- Returns the status of a job that is done.
local function keep_result(tx, job, field, token, json, limit)
  local is_kept
  if job then
    is_kept = results.keep(tx, job, json, limit)
  else
    is_kept = results.find(tx, field, token)
  end
  return is_kept and leases.DONE or finish_with_results.NOT_KEPT
end

function finish_with_results.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local limit, first_id, count = tonumber(args[first + 1]), first + 2, (length - 2) / 5
  counters.open(tx, not_after, true)
  unit.read_queues(tx, args, first_id, count)
  unit.read_jobs(tx, args, first_id + count, count)
  results.open(tx, retention)
  local reply = unit.reply(tx)
  for at = first_id, first + 1 + count do
    tx.index = at - first_id
    local field, token, json = args[at + count], args[at + 2 * count], args[at + 4 * count]
    local status, job = endings.finish(tx, args[at], field, token, args[at + 3 * count], retention, dead_retention)
    if status == leases.DONE and json ~= '' then
      status = keep_result(tx, job, field, token, json, limit)
    end
    reply[#reply + 1] = status
  end
  if tx.corrections then reports.add_corrections(tx, args[first], reply) end
  results.flush(tx)
  return unit.close(tx, reply)
end
