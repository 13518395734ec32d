-- A walk over the waiting jobs of a queue, a bounded number at a time.
--
-- A position is a class byte and a seq: the walk goes on behind the job of that class with that seq. It meets each job
-- that stays in its class or moves to a later one. A change of a job's priority may move it to an earlier class, which
-- the walk has passed. A walk that must meet such a job compares the number of these moves before and after its pass.
--
-- counters  :ahead -> number of jobs of the partition that a change moved ahead; absent for none
--
-- Uses: shortcuts, job_record, lines

local queue_walk = {
  VISITS = 1000,  -- members that a step looks at
  MOVES = ':ahead',
}

-- Count a queued job that moves to an earlier class.
function queue_walk.note_move(tx)
  call('HINCRBY', tx.keys[KEY.counters], queue_walk.MOVES, 1)
end

-- Return the number of jobs of the partition that have moved ahead so far.
function queue_walk.moves(tx)
  return tonumber(call('HGET', tx.keys[KEY.counters], queue_walk.MOVES) or 0)
end

-- Return up to `count` members of a queue behind a position, up to and including the class `last`.
-- While jobs of a deleted queue are left, each class has a fence of its own.
function queue_walk.members(tx, queue, class, seq, last, count)
  local queue_id, members = queue.queue_id, {}
  local fence = queue.is_unswept and queue.fence or 0
  local _, to = job_record.range(queue_id, string.char(last))
  while class <= last and #members < count do
    local from = job_record.range(queue_id, string.char(class), math.max(seq + 1, fence))
    if fence > 0 then _, to = job_record.range(queue_id, string.char(class)) end
    local page = call('ZRANGE', tx.keys[KEY.queued], from, to, 'BYLEX', 'LIMIT', 0, count - #members)
    if fence == 0 then return page end
    for _, member in ipairs(page) do members[#members + 1] = member end
    class, seq = class + 1, 0
  end
  return members
end

-- Return about `count` queued jobs' members of a queue behind a priority byte and a seq, in the order of the queue, and
-- true if none follow. Their positions are those of job_record.position.
function queue_walk.queued(tx, queue, priority, seq, count)
  if queue.lines then return lines.members(tx, queue, lines.filled(queue), priority, seq, count) end
  local row = queue_walk.members(tx, queue, priority, seq, job_record.LAST_PRIORITY, count)
  return row, #row < count
end

-- Return the position of a member.
function queue_walk.position(queue_id, member)
  return string.byte(member, #queue_id + 2), job_record.seq_of_member(queue_id, member)
end
