-- cancel_matching: cancel the queued and delayed jobs of a queue whose ids begin with a prefix, one bounded step of a
-- walk. Jobs enqueued after the first step are kept. The delayed jobs come first, because one that becomes queued
-- meanwhile is then still ahead. If jobs moved ahead during the walk (queue_walk.lua), it passes over the queued jobs
-- again, but not for ever: jobs may move all the time.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, queue_id, prefix ('' for all), not_after (µs), most jobs to cancel, bytes of records to stay below
--       (one job is cancelled in any case), then what the step before replied ('' in the first step, or absent): class
--       and seq to go on after, the newest seq of the first step, the number of moves before this pass, and the number
--       of passes that may follow; then optionally the time that the step may take (unit.is_spent, µs)
-- Reply: {0, now, ready hint, timer hint, number of jobs cancelled, and, if the walk goes on: class, seq, newest seq,
--        number of moves, number of passes}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) a job, and queue_walk.VISITS members
--
-- Uses: shortcuts, job_record, counters, unit, queue_walk, transitions

local cancel_matching = {
  DELAYED = 255, PASSES = 3,
  PAGE = 128,  -- members read at once
  READ = 8,    -- jobs read at once, before the call looks at the time again
}

-- Return the next members, delayed ones first, and whether none follow.
local function next_members(tx, queue, class, seq)
  local count, row = cancel_matching.PAGE, {}
  if class == cancel_matching.DELAYED then
    row = queue_walk.members(tx, queue, class, seq, class, count)
    class, seq = job_record.FIRST_PRIORITY, 0
  end
  if #row >= count then return row, false end
  local queued, is_last = queue_walk.queued(tx, queue, class, seq, count - #row)
  for _, member in ipairs(queued) do row[#row + 1] = member end
  return row, is_last
end

-- Return the next READ members of a row from row[at] on that match, their fields, and the index behind the last member
-- that was compared.
local function next_matching(queue_id, row, at, step)
  local matching, fields, start = {}, {}, queue_id .. ':'
  while at <= #row and #matching < cancel_matching.READ do
    local member = row[at]
    local id = job_record.id_of_member(queue_id, member)
    if sub(id, 1, #step.prefix) == step.prefix and job_record.seq_of_member(queue_id, member) <= step.newest then
      matching[#matching + 1], fields[#fields + 1] = member, start .. id
    end
    at = at + 1
  end
  return matching, fields, at
end

-- Cancel a job. Returns false if the step has cancelled as much as it may.
local function cancel_job(tx, queue, field, member, step)
  if step.count == step.limit or step.count > 0 and step.bytes > step.budget then return false end
  local job = unit.job(tx, queue.queue_id, field)
  if job then
    transitions.cancel(tx, queue, job, member)
    step.count, step.bytes = step.count + 1, step.bytes + #job.raw
  end
  return true
end

-- Cancel those of the members that match. step: the prefix, the newest seq, and what the step may do and has done.
-- Returns the last member that it is done with, or nil, and true if the step ends there.
local function cancel_members(tx, queue, row, step)
  local at, last = 1, nil
  while at <= #row do
    local matching, fields, next_at = next_matching(queue.queue_id, row, at, step)
    if #matching > 0 then
      if unit.is_spent(tx, 1) and step.count > 0 then return last, true end
      unit.read_jobs(tx, fields, 1, #fields)
    end
    for index, member in ipairs(matching) do
      if not cancel_job(tx, queue, fields[index], member, step) then return last, true end
      last = member
    end
    at = next_at
    last = row[at - 1]
  end
  return last, false
end

-- Cancel matching jobs behind a position, page by page. Returns the position that the step has reached, and true if
-- more may follow.
local function cancel_behind(tx, queue, class, seq, step)
  local visits = 0
  while true do
    local row, is_last = next_members(tx, queue, class, seq)
    local last, has_ended = cancel_members(tx, queue, row, step)
    if last then class, seq = job_record.position(queue.queue_id, last) end
    if has_ended then return class, seq, true end
    visits = visits + #row
    if is_last or visits >= queue_walk.VISITS or unit.is_spent(tx, 1) then return class, seq, not is_last end
  end
end

function cancel_matching.run(tx, args)
  local queue_id, class, seq, newest = args[3], tonumber(args[8]), tonumber(args[9]), tonumber(args[10])
  local moves, passes = tonumber(args[11]), tonumber(args[12])
  if not counters.open(tx, tonumber(args[5])) then return unit.expired(tx) end
  unit.limit_time(tx, tonumber(args[13]))
  local queue, reply = unit.queue(tx, queue_id), unit.reply(tx, 0)
  if not queue then return unit.close(tx, reply) end
  if not class then
    class, seq, newest, moves = cancel_matching.DELAYED, 0, tx.counters.seq, queue_walk.moves(tx)
    passes = cancel_matching.PASSES
  end
  local step = {prefix = args[4], newest = newest, count = 0, bytes = 0, limit = tonumber(args[6]),
    budget = tonumber(args[7])}
  local goes_on
  class, seq, goes_on = cancel_behind(tx, queue, class, seq, step)
  reply[5] = step.count
  if step.count > 0 then unit.touch(tx, queue) end
  if not goes_on and passes > 0 and queue_walk.moves(tx) ~= moves then
    goes_on, class, seq, moves, passes = true, job_record.FIRST_PRIORITY, 0, queue_walk.moves(tx), passes - 1
  end
  if goes_on then reply[6], reply[7], reply[8], reply[9], reply[10] = class, seq, newest, moves, passes end
  return unit.close(tx, reply)
end
