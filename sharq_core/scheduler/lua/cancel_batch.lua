-- cancel_batch: cancel a batch in a partition, one bounded step of a walk. The first step marks the batch: from then on
-- none of its waiting jobs is leased, and it takes no further ones. The others cancel its waiting jobs, queue by queue.
--
-- The walk visits the queues of the batch in the order of HSCAN, those of one page sorted by id, so that it can go on
-- within a page that has changed. It passes over them again if jobs of the batch are left that it can have missed.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, terms (unit.TERMS), batch id, most jobs to cancel, most jobs to look at, bytes of records to stay
--       below (one job is looked at in any case), then, in all steps but the first, the cursor of the step before:
--       cursor of HSCAN, class and seq to go on after, number of jobs cancelled in this pass, queue_id ('' at the
--       beginning of a page); then optionally the time that the step may take (unit.is_spent, µs)
-- Reply: {0, now, ready hint, timer hint, number of jobs cancelled, and, if the walk goes on, the cursor}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) a job, O(1) a job that it looks at, and a few pages of the notes of the type
--
-- Uses: shortcuts, job_record, notes, counters, batches, unit, queue_walk, transitions

local cancel_batch = {
  PAGES = 8,    -- pages of the notes that a step reads
  PAGE = 250,   -- notes of a page
  READ = 8,     -- jobs read at once
  LAST = 255,   -- class of the delayed jobs, the last one
}

-- Return the pattern of HSCAN for the queues of a batch.
local function pattern_of(batch)
  local prefix = batches.IN_QUEUE .. pack_bytes(job_record.BATCH_FORMAT, batch.number)
  return string.gsub(prefix, '[%*%?%[%]%^%-\\]', '\\%0') .. '*', #prefix
end

-- Return the cursor of the next page of notes, and the queues of a batch on this page, sorted.
local function read_page(tx, batch, scan)
  local pattern, prefix = pattern_of(batch)
  local page, ids = call('HSCAN', notes.key(tx), scan, 'MATCH', pattern, 'COUNT', cancel_batch.PAGE), {}
  for index = 1, #page[2], 2 do ids[#ids + 1] = sub(page[2][index], prefix + 1) end
  table.sort(ids)
  return page[1], ids
end

-- Read the records of the next few members of a line, from line[first] on. Returns their fields.
local function read_next(tx, queue_id, line, first)
  local fields = {}
  for at = first, math.min(first + cancel_batch.READ - 1, #line) do
    fields[#fields + 1] = queue_id .. ':' .. job_record.id_of_member(queue_id, line[at])
  end
  unit.read_jobs(tx, fields, 1, #fields)
  return fields
end

-- Cancel a job of the line if it belongs to the batch. room: what the step may still do.
local function cancel_job(tx, queue, batch, field, member, room)
  local raw = tx.records[field]
  room.looks, room.bytes = room.looks - 1, room.bytes - (raw and #raw or 0)
  local job = raw and job_record.unpack(queue.queue_id, field, raw)
  if not job or not job.newer or job_record.batch_in(job.newer) ~= batch.number or job.state == LEASED
    or job.seq ~= job_record.seq_of_member(queue.queue_id, member) then return end
  transitions.cancel(tx, queue, job, member)
  unit.touch(tx, queue)
  room.jobs = room.jobs - 1
end

local function is_used_up(room)
  return room.jobs <= 0 or room.looks <= 0 or room.bytes <= 0
end

-- Cancel the jobs of the batch that wait in a queue, behind the class and the seq of the cursor. Returns false if the
-- step ends before that, with the cursor behind the last job that it looked at.
local function walk_queue(tx, batch, cursor, room)
  local queue_id = cursor.queue_id
  local queue = unit.queue(tx, queue_id)
  if not queue then return true end
  local limit = math.min(room.looks, queue_walk.VISITS)
  local line = queue_walk.members(tx, queue, cursor.class, cursor.seq, cancel_batch.LAST, limit)
  for first = 1, #line, cancel_batch.READ do
    if unit.is_spent(tx, 1) then return false end
    for index, field in ipairs(read_next(tx, queue_id, line, first)) do
      local member = line[first + index - 1]
      cancel_job(tx, queue, batch, field, member, room)
      cursor.class, cursor.seq = queue_walk.position(queue_id, member)
      if is_used_up(room) then return false end
    end
  end
  return #line < limit
end

-- Go on with the queues of a page. Returns false if the step ends before the last one.
local function walk_page(tx, batch, cursor, ids, room)
  for _, id in ipairs(ids) do
    if id > cursor.queue_id then cursor.queue_id, cursor.class, cursor.seq = id, 1, 0 end
    if id == cursor.queue_id and not walk_queue(tx, batch, cursor, room) then return false end
  end
  return true
end

-- Go on with the walk. Returns true if a pass over all queues is complete.
local function walk(tx, batch, cursor, room)
  for _ = 1, cancel_batch.PAGES do
    local scan, ids = read_page(tx, batch, cursor.scan)
    if not walk_page(tx, batch, cursor, ids, room) then return false end
    cursor.scan, cursor.queue_id, cursor.class, cursor.seq = scan, '', 1, 0
    if scan == '0' then return true end
  end
  return false
end

-- Return the cursor of a step. args[at]: its first part.
local function cursor_of(args, at)
  return {scan = args[at], class = tonumber(args[at + 1]), seq = tonumber(args[at + 2]),
    cancelled = tonumber(args[at + 3]), queue_id = args[at + 4]}
end

local function put_cursor(reply, cursor)
  reply[6], reply[7], reply[8], reply[9], reply[10] =
    cursor.scan, cursor.class, cursor.seq, cursor.cancelled, cursor.queue_id
end

-- Return true if no job of the batch waits.
local function is_empty(batch)
  return batch.queued + batch.delayed == 0
end

function cancel_batch.run(tx, args)
  local not_after, retention = unpack_bytes(unit.TERMS, args[3])
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  local batch, reply = batches.take(tx, args[4], retention), unit.reply(tx, 0)
  batches.cancel(batch)
  if is_empty(batch) then return unit.close(tx, reply) end
  if not args[8] then
    put_cursor(reply, {scan = '0', class = 1, seq = 0, cancelled = 0, queue_id = ''})
    return unit.close(tx, reply)
  end
  unit.limit_time(tx, tonumber(args[13]))
  local cursor = cursor_of(args, 8)
  local limit = tonumber(args[5])
  local room = {jobs = limit, looks = tonumber(args[6]), bytes = tonumber(args[7])}
  local is_complete = walk(tx, batch, cursor, room)
  local count = limit - room.jobs
  reply[5], cursor.cancelled = count, cursor.cancelled + count
  if is_empty(batch) or is_complete and cursor.cancelled == 0 then return unit.close(tx, reply) end
  if is_complete then cursor.cancelled = 0 end
  put_cursor(reply, cursor)
  return unit.close(tx, reply)
end
