-- The record of one job, and the name under which it stands in its queue.
--
-- jobs:<type>    queue_id:job_id -> header, [lease token], [bytes of a newer version], payload
-- queued:<type>  queue_id \0 lane seq job_id, all scores 0
--
-- The header's second byte is its length with token and newer bytes: an older version keeps what it cannot read.
-- The lane byte is the priority of a job that may be leased, or DELAYED: so a queue's delayed jobs can be found, too.

local QUEUED, DELAYED, LEASED, DEAD = 1, 2, 3, 4 -- the states, for all files

local job_record = {
  RELEASED = 1,                 -- flag: the last lease was given back, not timed out
  PRIORITY = 128,               -- the only priority there is yet
  PRIORITY_LANE = '\128', DELAYED_LANE = '\255',
  FORMAT = '>BBBBBI7i4I4I7I7',  -- format, length, state, flags, priority, seq, requeue limit, attempt, enqueued, due
  LENGTH = 34,
  TOKEN_END = 50,               -- it takes 16
  LAST = '\255\255\255\255\255\255\255\255\255',          -- above every seq
  NO_TOKEN = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0',  -- before newer bytes, when there is none
}

-- The job id in a field (queue_id:job_id).
function job_record.job_id(queue_id, field)
  return sub(field, #queue_id + 2)
end

-- field: as in jobs:<type>. due: since when it is queued, until when it is delayed or leased, or when it died.
function job_record.unpack(queue_id, field, raw)
  local _, length, state, flags, priority, seq, limit, attempt, enqueued, due, token_at =
    unpack_bytes(job_record.FORMAT, raw)
  local job = {
    queue_id = queue_id, field = field, state = state, flags = flags, priority = priority, seq = seq, limit = limit,
    attempt = attempt, enqueued = enqueued, due = due, raw = raw, payload_at = length + 1,
    payload_bytes = #raw - length,
  }
  if length >= token_at then
    local token = sub(raw, token_at, job_record.TOKEN_END)
    if token ~= job_record.NO_TOKEN then job.token = token end
    if length > job_record.TOKEN_END then job.newer = sub(raw, job_record.TOKEN_END + 1, length) end
  end
  return job
end

-- The payload of a job, cut out of its record only when it is asked for.
function job_record.payload(job)
  local payload = job.payload or sub(job.raw, job.payload_at)
  job.payload = payload
  return payload
end

function job_record.pack(job)
  local extra = job.token or ''
  if job.newer then extra = (job.token or job_record.NO_TOKEN) .. job.newer end
  return pack_bytes(job_record.FORMAT, 1, job_record.LENGTH + #extra, job.state, job.flags, job.priority, job.seq,
    job.limit, job.attempt, job.enqueued, job.due) .. extra .. (job.payload or sub(job.raw, job.payload_at))
end

-- The record of a job that nobody has leased yet.
function job_record.pack_new(state, seq, limit, enqueued, due, payload)
  return pack_bytes(job_record.FORMAT, 1, job_record.LENGTH, state, 0, job_record.PRIORITY, seq, limit, 0, enqueued,
    due) .. payload
end

-- The member of a new job in queued:<type>.
function job_record.new_member(queue_id, lane, seq, field)
  return queue_id .. '\0' .. lane .. pack_bytes('>I8', seq) .. sub(field, #queue_id + 2)
end

-- The job's member in queued:<type>, in the lane of its state.
function job_record.member(job)
  local lane = job_record.PRIORITY_LANE
  if job.state == DELAYED then
    lane = job_record.DELAYED_LANE
  elseif job.priority ~= job_record.PRIORITY then
    lane = string.char(job.priority)
  end
  return job_record.new_member(job.queue_id, lane, job.seq, job.field)
end

-- The bounds (for ZRANGE BYLEX) of all of a queue's members that may be leased.
function job_record.bounds(queue_id)
  return '[' .. queue_id .. '\0\128', '(' .. queue_id .. '\0\129'
end

-- The bounds of a queue's members in a lane with from <= seq < below; nil: from or to the lane's end.
function job_record.range(queue_id, lane, from, below)
  local start = queue_id .. '\0' .. lane
  return '[' .. start .. (from and pack_bytes('>I8', from) or ''),
    '(' .. start .. (below and pack_bytes('>I8', below) or job_record.LAST)
end

-- The job id that a member of queued:<type> names.
function job_record.id_of_member(queue_id, member)
  return sub(member, #queue_id + 11)
end

-- The seq that it names.
function job_record.seq_of_member(queue_id, member)
  return (unpack_bytes('>I8', member, #queue_id + 3))
end
