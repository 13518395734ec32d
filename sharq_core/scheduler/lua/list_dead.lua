-- list_dead: return a page of dead letters, oldest first. Writes nothing.
--
-- Keys: dead deadjobs counters
-- Args: now, type, time of death (µs) and field to continue after ('0' and '' at first), most dead letters, payload
--       bytes to stay below (one dead letter is always returned), retention (µs), and, from nodes that can decode
--       reasons and errors: a queue id ('' for all queues)
-- Reply: {0, now, -1, -1, 1 if more follow, then for each: queue_id, job_id, payload, attempt, enqueued
--        (µs), died (µs)}; for those nodes {0, now, -1, -1, 1 if more follow, time of death (µs) and field to continue
--        after, then for each the same and: reason of death (job_status.lua), error ('' for none)}. A page of one queue
--        may be short or empty although more follow.
-- Cost: O(log n + dead letters returned), and dead_letters.VISITS members for one queue
--
-- Uses: clock, job_record, dead_letters, job_status

local list_dead = {}

function list_dead.run(tx, args)
  clock.read(tx)
  local reply, queue_id = {0, clock.store_time(tx), -1, -1, 0}, args[8]
  if queue_id then reply[6], reply[7] = 0, '' end
  local function visit(job)
    local values = {job.queue_id, job_record.job_id(job.queue_id, job.field), job_record.payload(job), job.attempt,
      clock.shown(tx, job.enqueued), clock.shown(tx, job.died)}
    if queue_id then values[7], values[8] = job_status.reason(job), job_status.error(tx, job.note) end
    for _, value in ipairs(values) do reply[#reply + 1] = value end
  end
  local after = clock.partition_time(tx, tonumber(args[3]))
  local limit, budget, retention = tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
  local is_more, died, field = dead_letters.each(tx, after, args[4], limit, budget, retention,
    queue_id ~= '' and queue_id or nil, visit)
  reply[5] = is_more and 1 or 0
  if queue_id then reply[6], reply[7] = clock.shown(tx, died), field end
  return reply
end
