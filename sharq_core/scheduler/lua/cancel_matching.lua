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
  LOOK = 8,  -- jobs cancelled before the call looks at the time again
}

-- Return the next members, delayed ones first, and whether none follow.
local function next_members(tx, queue, class, seq)
  local visits, row = queue_walk.VISITS, {}
  if class == cancel_matching.DELAYED then
    row = queue_walk.members(tx, queue, class, seq, class, visits)
    class, seq = job_record.FIRST_PRIORITY, 0
  end
  if #row >= visits then return row, false end
  local queued, is_last = queue_walk.queued(tx, queue, class, seq, visits - #row)
  for _, member in ipairs(queued) do row[#row + 1] = member end
  return row, is_last
end

-- Cancel those of the members that match. Returns how many, and the last member that was read, or nil.
local function cancel_members(tx, queue, row, prefix, newest, limit, budget)
  local queue_id, bytes, count, last = queue.queue_id, 0, 0, nil
  for _, member in ipairs(row) do
    local id = job_record.id_of_member(queue_id, member)
    if sub(id, 1, #prefix) == prefix and job_record.seq_of_member(queue_id, member) <= newest then
      if count == limit or (count > 0 and bytes > budget) then return count, last end
      if count > 0 and count % cancel_matching.LOOK == 0 and unit.is_spent(tx, 1) then return count, last end
      local job = unit.job(tx, queue_id, queue_id .. ':' .. id)
      if job then
        transitions.cancel(tx, queue, job, member)
        count, bytes = count + 1, bytes + #job.raw
      end
    end
    last = member
  end
  return count, last
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
  local row, is_last = next_members(tx, queue, class, seq)
  local count, last = cancel_members(tx, queue, row, args[4], newest, tonumber(args[6]), tonumber(args[7]))
  reply[5] = count
  if count > 0 then unit.touch(tx, queue) end
  local goes_on = not is_last or last ~= row[#row]
  if goes_on then
    if last then class, seq = job_record.position(queue_id, last) end
  elseif passes > 0 and queue_walk.moves(tx) ~= moves then
    goes_on, class, seq, moves, passes = true, job_record.FIRST_PRIORITY, 0, queue_walk.moves(tx), passes - 1
  end
  if goes_on then reply[6], reply[7], reply[8], reply[9], reply[10] = class, seq, newest, moves, passes end
  return unit.close(tx, reply)
end
