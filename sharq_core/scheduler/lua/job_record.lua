-- The record of one job, and the name under which it stands in its queue.
--
-- jobs:<type>    queue_id:job_id -> header, [lease token], [bytes of a newer version], payload
-- queued:<type>  queue_id \0 lane seq job_id, all scores 0
--
-- The header's second byte is its length with token and newer bytes, so an older version keeps what it cannot read.
-- The lane byte is the priority of a job that may be leased, or DELAYED, so that a queue's delayed jobs can be found too.

local job_record = {
  QUEUED = 1, DELAYED = 2, LEASED = 3, DEAD = 4,
  RELEASED = 1,                 -- flag: the last lease was given back, not timed out
  PRIORITY = 128,               -- the only priority there is yet
  PRIORITY_LANE = '\128', DELAYED_LANE = '\255',
  FORMAT = '>BBBBBI7i4I4I7I7',  -- format, length, state, flags, priority, seq, requeue limit, attempt, enqueued, due
  LENGTH = 34,
  TOKEN_END = 50,               -- it takes 16
  LAST = '\255\255\255\255\255\255\255\255\255',          -- above every seq
  NO_TOKEN = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0',  -- before newer bytes, when there is none
}

function job_record.field(queue_id, job_id)
  return queue_id .. ':' .. job_id
end

-- field: as in jobs:<type>. due: since when it is queued, until when it is delayed or leased, or when it died.
function job_record.unpack(field, queue_id, job_id, raw)
  local _, length, state, flags, priority, seq, limit, attempt, enqueued, due =
    struct.unpack(job_record.FORMAT, raw)
  local token_end, token = job_record.TOKEN_END, nil
  if length >= token_end then
    token = string.sub(raw, job_record.LENGTH + 1, token_end)
    if token == job_record.NO_TOKEN then token = nil end
  end
  return {
    field = field, queue_id = queue_id, job_id = job_id, state = state, flags = flags, priority = priority, seq = seq,
    limit = limit, attempt = attempt, enqueued = enqueued, due = due,
    token = token,
    newer = length > token_end and string.sub(raw, token_end + 1, length) or nil,
    raw = raw, payload_at = length + 1,
  }
end

-- The payload of a job, cut out of its record only when it is asked for.
function job_record.payload(job)
  return job.payload or string.sub(job.raw, job.payload_at)
end

function job_record.payload_length(job)
  return job.payload and #job.payload or #job.raw - job.payload_at + 1
end

function job_record.pack(job)
  local extra = job.token or ''
  if job.newer then extra = (job.token or job_record.NO_TOKEN) .. job.newer end
  return struct.pack(job_record.FORMAT, 1, job_record.LENGTH + #extra, job.state, job.flags, job.priority, job.seq,
    job.limit, job.attempt, job.enqueued, job.due) .. extra .. job_record.payload(job)
end

-- The job's member in queued:<type>, in the lane of its state.
function job_record.member(job)
  local lane = job_record.PRIORITY_LANE
  if job.state == job_record.DELAYED then
    lane = job_record.DELAYED_LANE
  elseif job.priority ~= job_record.PRIORITY then
    lane = string.char(job.priority)
  end
  return job.queue_id .. '\0' .. lane .. struct.pack('>I8', job.seq) .. job.job_id
end

-- The bounds (for ZRANGE BYLEX) of a queue's members in a lane with from <= seq < below; below nil: to the lane's end.
function job_record.range(queue_id, lane, from, below)
  local upper = below and struct.pack('>I8', below) or job_record.LAST
  return '[' .. queue_id .. '\0' .. lane .. struct.pack('>I8', from), '(' .. queue_id .. '\0' .. lane .. upper
end

-- The job id and seq that a member of queued:<type> names.
function job_record.parse_member(queue_id, member)
  local start = #queue_id + 3
  return string.sub(member, start + 8), (struct.unpack('>I8', member, start))
end
