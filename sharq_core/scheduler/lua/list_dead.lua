-- list_dead: some dead letters, oldest first. Writes nothing.
--
-- Keys: dead deadjobs counters
-- Args: now, type, time of death and field to go on after ('0' and '' at first), most letters, payload bytes to stay
--       below (one letter is always given), retention (µs)
-- Reply: {0, now, -1, -1, 1 when more follow, then for each: queue_id, job_id, payload, attempt, enqueued, died}
-- Cost: O(log n + letters)

local list_dead = {}

function list_dead.run(own, args)
  clock.read(own)
  local reply = {0, clock.told(own), -1, -1, 0}
  local function visit(job)
    local values = {job.queue_id, job_record.job_id(job.queue_id, job.field), job_record.payload(job), job.attempt,
      clock.shown(own, job.enqueued), clock.shown(own, job.died)}
    for _, value in ipairs(values) do reply[#reply + 1] = value end
  end
  local is_more = dead_letters.each(own, clock.own_time(own, tonumber(args[3])), args[4], tonumber(args[5]), tonumber(args[6]),
    tonumber(args[7]), visit)
  reply[5] = is_more and 1 or 0
  return reply
end
