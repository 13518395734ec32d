-- The removal of expired jobs that wait. A dequeue removes those at the head of a queue. A walk over the waiting jobs
-- of a queue finds the others; EXPIRY_TIMER begins it when a job of the queue may have expired (queue.expires_from).
--
-- A walk goes in steps. Its position is in queue.walk, so that it does not matter who runs the next step. It need not
-- meet the jobs that wait anew: queue_life.note_expiry takes their time of expiry into walk.least.
--
-- Uses: shortcuts, job_record, dead_letters, unit, transitions

local expiry = {
  MOST = 100,           -- expired jobs that a call removes at the heads of queues, at most: about half a millisecond;
                        -- one that is not plain costs twice as much, and counts twice
  SHARE = 0.2,          -- of the time that a dequeue may take (unit.is_spent), for these jobs
  MOST_BYTES = 262144,  -- a call stops to remove jobs, and a step of a walk ends, after so many bytes of records
  READ = 8,             -- jobs read at once, and removed before the call looks at the time again
  READ_SMALL = 25,      -- jobs read at once while records are small
  SMALL = 512,          -- bytes of such a record, in the mean of those read last
  -- A step that looks at jobs in vain lets the walk rest for about thirty times the time that the step takes, so that
  -- the walk over a large queue costs little at any time.
  REST_US = 100,           -- for each job that it looks at in vain
  REST_PER_BYTE_US = 0.05,
}

-- Let an expired job of a record go that stands at `member`. job: the unpacked record, nil if the record is plain.
local function expire(tx, queue, field, raw, member, job)
  if job then return transitions.expire(tx, queue, job, member) end
  local prefix = queue.letter_prefix
  if not prefix then
    prefix = dead_letters.prefix(tx, queue)
    queue.letter_prefix = prefix
  end
  transitions.expire_plain(tx, queue, field, raw, member, prefix)
end

-- Remove an expired job at the head of a queue. Returns false if the call has removed enough.
function expiry.remove(tx, queue, job, member)
  local spent = tx.shared or tx
  local count, bytes, raw = spent.removed or 0, spent.removed_bytes or 0, job.raw
  if count >= expiry.MOST or bytes >= expiry.MOST_BYTES
    or count > 0 and count % expiry.READ == 0 and unit.is_spent(tx, expiry.SHARE) then return false end
  local is_plain = job_record.is_plain(raw)
  spent.removed, spent.removed_bytes = count + (is_plain and 1 or 2), bytes + #raw
  expire(tx, queue, job.field, raw, member, not is_plain and job)
  return true
end

-- Return up to `limit` members of a queue's waiting jobs, all classes in their order, from a position on.
local function members_from(tx, queue_id, walk, limit)
  local start = queue_id .. '\0'
  return call('ZRANGE', tx.keys[KEY.queued], '[' .. start .. string.char(walk.class) .. pack_bytes('>I8', walk.seq),
    '(' .. queue_id .. '\1', 'BYLEX', 'LIMIT', 0, limit)
end

-- Read the records of the next `count` members, from members[first] on. Returns their fields and the index of the last.
local function read_records(tx, queue_id, members, first, count)
  local fields, last = {}, math.min(first + count - 1, #members)
  for at = first, last do fields[#fields + 1] = queue_id .. ':' .. job_record.id_of_member(queue_id, members[at]) end
  unit.read_jobs(tx, fields, 1, #fields)
  return fields, last
end

-- Look at a job of the line. If it has expired and stands at `member`, remove it. Returns true if it stays.
local function look_at(tx, queue, walk, field, member)
  local raw = tx.records[field]
  local at = raw and job_record.expiry_of(raw)
  if not at then return true end
  if at > tx.now then
    if walk.least == 0 or at < walk.least then walk.least = at end
    return true
  end
  local queue_id, job = queue.queue_id, nil
  if queue.is_unswept or not job_record.is_plain(raw) then
    job = job_record.unpack(queue_id, field, raw)
    if job.state == LEASED or job.seq ~= job_record.seq_of_member(queue_id, member) or unit.is_deleted(queue, job) then
      return true
    end
  elseif not job_record.has_seq_of(raw, queue_id, member) then
    return true
  end
  expire(tx, queue, field, raw, member, job)
  return false
end

-- End a walk. The next one begins when a job that stays may expire.
local function finish_walk(queue, walk)
  queue.walk = nil
  queue.expires_from = walk.least > 0 and walk.least or nil
  return queue.expires_from
end

-- Look at jobs of a line until the step has read or taken enough. Returns their number, and how long to rest (µs).
local function look_at_line(tx, queue, walk, members)
  local queue_id, at_once, count, bytes, rest = queue.queue_id, expiry.READ, 0, 0, 0
  while count < #members and bytes < expiry.MOST_BYTES and not unit.is_spent(tx, 1) do
    local fields, last = read_records(tx, queue_id, members, count + 1, at_once)
    local before = bytes
    for index, field in ipairs(fields) do
      local raw = tx.records[field]
      local length = raw and #raw or 0
      bytes = bytes + length
      if look_at(tx, queue, walk, field, members[count + index]) then
        rest = rest + expiry.REST_US + length * expiry.REST_PER_BYTE_US
      end
    end
    count, at_once = last, bytes - before <= expiry.SMALL * #fields and expiry.READ_SMALL or expiry.READ
  end
  return count, rest
end

-- Begin or continue the walk over a queue, with up to `limit` jobs. All changes of the call to it must be written.
-- Returns how many jobs it looked at, and when to continue (µs) or nil.
function expiry.walk(tx, queue, limit)
  local queue_id = queue.queue_id
  local walk = queue.walk or {class = 1, seq = 0, least = 0}
  queue.walk, queue.is_changed = walk, true
  local members = members_from(tx, queue_id, walk, limit)
  local count, rest = look_at_line(tx, queue, walk, members)
  if count == #members and count < limit then return count, finish_walk(queue, walk) end
  local last = members[count]
  if last then
    walk.class, walk.seq = job_record.class_of_member(queue_id, last), job_record.seq_of_member(queue_id, last) + 1
  end
  return count, tx.now + math.floor(rest)
end
