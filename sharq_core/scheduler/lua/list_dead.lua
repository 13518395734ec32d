-- list_dead: return a page of dead letters, oldest first. Writes nothing.
--
-- Keys: dead deadjobs counters
-- Args: now, type, time of death (µs) and field to continue after ('0' and '' at first), most dead letters, payload
--       bytes to stay below (one dead letter is always returned), retention (µs)
-- Reply: {0, now, -1, -1, 1 if more follow, then for each: queue_id, job_id, payload, attempt, enqueued
--        (µs), died (µs)}
-- Cost: O(log n + dead letters returned)
--
-- Uses: clock, job_record, dead_letters

local list_dead = {}

function list_dead.run(tx, args)
  clock.read(tx)
  local reply = {0, clock.told(tx), -1, -1, 0}
  local function visit(job)
    local values = {job.queue_id, job_record.job_id(job.queue_id, job.field), job_record.payload(job), job.attempt,
      clock.shown(tx, job.enqueued), clock.shown(tx, job.died)}
    for _, value in ipairs(values) do reply[#reply + 1] = value end
  end
  local after = clock.partition_time(tx, tonumber(args[3]))
  local limit, budget, retention = tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
  local is_more = dead_letters.each(tx, after, args[4], limit, budget, retention, visit)
  reply[5] = is_more and 1 or 0
  return reply
end
