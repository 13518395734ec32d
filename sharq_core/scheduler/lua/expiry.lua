-- The removal of expired jobs that wait. A dequeue removes those at the head of a queue. A walk over the waiting jobs
-- of a queue finds the others; EXPIRY_TIMER begins it when a job of the queue may have expired (queue.expires_from).
--
-- A walk goes in steps. Its position is in queue.walk, so that it does not matter who runs the next step. It need not
-- meet the jobs that wait anew: queue_life.note_expiry takes their time of expiry into walk.least.
--
-- Plain jobs (job_record.plain_expiry) that stand in a row go together. Many are written before the call goes on, so
-- that the time that it may take (unit.is_spent) bounds the writes, too.
--
-- Uses: shortcuts, job_record, unit, transitions

local expiry = {
  MOST = 200,           -- expired jobs that a call removes at the heads of queues, at most: about a millisecond; one
                        -- that is not plain costs much more, and counts for four
  SHARE = 0.2,          -- of the time that a dequeue may take (unit.is_spent), for these jobs: a long row is the
                        -- walk's
  PER_TIMER = 2,        -- jobs that a step of a walk looks at for each timer that the call may run
  MOST_BYTES = 262144,  -- a call stops to remove jobs, and a step of a walk ends, after so many bytes of records
  WRITTEN = 64,         -- removed jobs that are written before the call goes on
  READ = 8,             -- jobs read at once, before the call looks at the time again
  READ_SMALL = 32,      -- jobs read at once while records are small
  SMALL = 512,          -- bytes of such a record, in the mean of those read last
  -- A step that looks at jobs in vain lets the walk rest for about thirty times the time that the step takes, so that
  -- the walk over a large queue costs little at any time.
  REST_US = 100,           -- for each job that it looks at in vain
  REST_PER_BYTE_US = 0.05,
}

-- Return how many jobs to read next. bytes: of the records of the last `count` jobs.
local function next_read(bytes, count)
  return bytes <= expiry.SMALL * count and expiry.READ_SMALL or expiry.READ
end

-- Read the jobs of members of a queue, at least one. Returns their fields, their records (false for none), and the
-- bytes of these.
local function read_jobs(tx, queue_id, members)
  local fields, bytes = job_record.fields_of(queue_id, members), 0
  local records = call('HMGET', tx.keys[KEY.jobs], unpack(fields))
  for index = 1, #fields do
    local raw = records[index]
    if raw then bytes = bytes + #raw end
  end
  return fields, records, bytes
end

-- Remove the plain expired jobs that stand in a row from members[first] on, as far as all of them are dropped or none
-- is. The members are all that the line has between the first and the last of them. Returns the index of the last;
-- first - 1 for none.
local function remove_row(tx, queue, fields, records, members, first)
  local now, last, are_dropped = tx.now, first - 1, nil
  local plain_expiry, seq_at = job_record.plain_expiry, job_record.seq_place(queue.queue_id)
  for index = first, #members do
    local raw, at, is_dropped = records[index], nil, nil
    if raw then at, is_dropped = plain_expiry(raw, members[index], seq_at) end
    if not at or at > now or index > first and is_dropped ~= are_dropped then break end
    last, are_dropped = index, is_dropped
  end
  if last >= first then
    transitions.expire_row(tx, queue, fields, records, members, first, last, are_dropped)
    if #tx.jobs_gone >= expiry.WRITTEN then unit.write_removals(tx) end
  end
  return last
end

-- Remove an expired job at the head of a queue. Returns false if the call has removed enough.
function expiry.remove(tx, queue, job, member)
  local spent = tx.shared or tx
  local count, bytes, raw = spent.removed or 0, spent.removed_bytes or 0, job.raw
  local is_over = unit.is_spent(tx, expiry.SHARE) or count >= expiry.MOST or bytes >= expiry.MOST_BYTES
  if count > 0 and is_over then return false end
  local is_plain = remove_row(tx, queue, {job.field}, {raw}, {member}, 1) == 1
  if not is_plain then transitions.expire(tx, queue, job, member) end
  spent.removed, spent.removed_bytes = count + (is_plain and 1 or 4), bytes + #raw
  return true
end

-- Return true if a job may be the next in a row of plain expired jobs. raw: its record, nil if it is not known.
function expiry.may_continue(tx, raw)
  if raw == nil then return true end
  local at = raw and job_record.plain_expiry(raw)
  return at and at <= tx.now
end

-- Remove the plain expired jobs that stand in a row behind `member`, which is gone. turn: that of their queue
-- (rounds.lua), whose jobs stand in the main line alone; it goes on behind them. Returns false if the call has removed
-- enough.
function expiry.remove_behind(tx, turn, member)
  local queue, spent, at_once = turn.queue, tx.shared or tx, expiry.READ
  local queue_id = queue.queue_id
  turn.members, turn.fields, turn.next = {member}, {}, 2
  while spent.removed < expiry.MOST do
    local members = unit.line(tx, queue, turn.members[#turn.members], math.min(at_once, expiry.MOST - spent.removed))
    if #members == 0 then return true end
    local fields, records, bytes = read_jobs(tx, queue_id, members)
    local last = remove_row(tx, queue, fields, records, members, 1)
    for index = last + 1, #fields do tx.records[fields[index]] = records[index] end
    turn.members, turn.fields, turn.next = members, fields, last + 1
    spent.removed, spent.removed_bytes = spent.removed + last, spent.removed_bytes + bytes
    if last < #members then return true end
    if spent.removed_bytes >= expiry.MOST_BYTES or unit.is_spent(tx, expiry.SHARE) then return false end
    at_once = next_read(bytes, #members)
  end
  return false
end

-- Return up to `limit` members of a queue's waiting jobs, all classes in their order, from a position on.
local function members_from(tx, queue_id, walk, limit)
  local start = queue_id .. '\0'
  return call('ZRANGE', tx.keys[KEY.queued], '[' .. start .. string.char(walk.class) .. pack_bytes('>I8', walk.seq),
    '(' .. queue_id .. '\1', 'BYLEX', 'LIMIT', 0, limit)
end

-- Look at a job of the line, which is none of a row of plain expired ones. If it has expired and stands at `member`,
-- remove it. Returns true if it stays.
local function look_at(tx, queue, walk, field, raw, member)
  local at = raw and job_record.expiry_of(raw)
  if not at then return true end
  if at > tx.now then
    if walk.least == 0 or at < walk.least then walk.least = at end
    return true
  end
  local job = job_record.unpack(queue.queue_id, field, raw)
  if job.state == LEASED or job.seq ~= job_record.seq_of_member(queue.queue_id, member)
    or unit.is_deleted(queue, job) then return true end
  transitions.expire(tx, queue, job, member)
  return false
end

-- Look at jobs of the line. Returns how many were removed one by one, and how long to rest for those that stay (µs).
local function look_at_all(tx, queue, walk, members, fields, records)
  local index, removed, rest = 1, 0, 0
  while index <= #members do
    -- While jobs of a deleted queue are left, each record is unpacked: those below the fence are not expired.
    local last = queue.is_unswept and 0 or remove_row(tx, queue, fields, records, members, index)
    if last >= index then
      index = last
    elseif look_at(tx, queue, walk, fields[index], records[index], members[index]) then
      rest = rest + expiry.REST_US + #(records[index] or '') * expiry.REST_PER_BYTE_US
    else
      removed = removed + 1
    end
    index = index + 1
  end
  return removed, rest
end

-- End a walk. The next one begins when a job that stays may expire.
local function finish_walk(queue, walk)
  queue.walk = nil
  queue.expires_from = walk.least > 0 and walk.least or nil
  return queue.expires_from
end

-- Begin or continue the walk over a queue, with up to `limit` jobs; one that is removed by itself counts twice. All
-- changes of the call to the queue must be written.
-- Returns how many jobs it looked at, and when to continue (µs) or nil.
function expiry.walk(tx, queue, limit)
  local queue_id, count, bytes, rest, at_once = queue.queue_id, 0, 0, 0, expiry.READ
  local walk = queue.walk or {class = 1, seq = 0, least = 0}
  queue.walk, queue.is_changed = walk, true
  unit.is_spent(tx, 1)
  repeat
    local wanted = math.min(at_once, limit - count)
    local members = members_from(tx, queue_id, walk, wanted)
    local last = members[#members]
    if last then
      local fields, records, length = read_jobs(tx, queue_id, members)
      local removed, rest_us = look_at_all(tx, queue, walk, members, fields, records)
      count, bytes, rest = count + #members + removed, bytes + length, rest + rest_us
      walk.class, walk.seq = job_record.class_of_member(queue_id, last), job_record.seq_of_member(queue_id, last) + 1
      at_once = next_read(length, #members)
    end
    if #members < wanted then return count, finish_walk(queue, walk) end
  until count >= limit or bytes >= expiry.MOST_BYTES or unit.is_spent(tx, 1)
  return count, tx.now + math.floor(rest)
end
