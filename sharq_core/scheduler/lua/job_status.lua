-- What the functions tell of a job. sharq_core/scheduler/status_replies.py reads it.
--
-- Uses: shortcuts, clock, retry_policy, job_record, notes, queue_life, batches, results, remembered

local job_status = {
  -- state (remembered.lua), attempt, enqueued (µs), due (µs, as in job_record.unpack), position (1 for the next job of
  -- the queue, 0: not told), priority of the API, cost, requeue limit, time of expiry (µs, 0: never), fate then
  -- (queue_life.lua, 0: it never expires), retry policy (its factor 0: none), reason of death (REASON)
  HEAD = '>BI4I8I8I4BI4i4I8B',
  REASON = '>B',
  ALIVE = '\0', LIMIT = '\1', EXPIRED = '\2',
  ERROR = '>I4I8',  -- attempt, time (µs); then the text
  PROGRESS = '>I8',  -- time (µs); then the JSON
  -- the same of a job of which only state, attempt and enqueued are known
  REMEMBERED = '>BI4I8',
}

-- Return the position of a queued job in its queue, from 1.
function job_status.position(tx, queue, job)
  local queue_id, key, count = job.queue_id, tx.keys[KEY.queued], 0
  if not queue.is_unswept then
    return call('ZLEXCOUNT', key, job_record.bounds(queue_id), '(' .. job_record.member(job)) + 1
  end
  for class = job_record.FIRST_PRIORITY, job.priority do
    local from, to = job_record.range(queue_id, string.char(class), queue.fence, class == job.priority and job.seq)
    count = count + call('ZLEXCOUNT', key, from, to)
  end
  return count + 1
end

-- Return the error in a note, '' for none. raw: the note, nil for none.
function job_status.error(tx, raw)
  local attempt, at, text = notes.error(raw)
  return attempt and pack_bytes(job_status.ERROR, attempt, clock.shown(tx, at)) .. text or ''
end

-- Return why a job died.
function job_status.reason(job)
  if job.state ~= DEAD then return job_status.ALIVE end
  return job_record.has(job, job_record.EXPIRED) and job_status.EXPIRED or job_status.LIMIT
end

-- Return the progress in a note, '' for none. raw: the note, nil for none.
local function pack_progress(tx, raw)
  local at, json = notes.progress(raw)
  return at and pack_bytes(job_status.PROGRESS, clock.shown(tx, at)) .. json or ''
end

-- Append what is told of a live job or of a dead letter to a reply: numbers, payload, error ('' for none), and, if
-- tx.tells_output, the progress and the batch ('' for none). position: 0 if it is not told.
function job_status.add(tx, reply, job, position)
  local rare, note, at = job_record.rare(job), job.note or notes.of(tx, job), #reply
  local expires_at, retry, fate = rare.expires_at, rare.retry or retry_policy.NONE, 0
  if expires_at then fate = rare.is_dropped and queue_life.DROPPED or queue_life.KEPT end
  reply[at + 1] = pack_bytes(job_status.HEAD, job.state, job.attempt, clock.shown(tx, job.enqueued),
    clock.shown(tx, job.due), position, job_record.api_priority(job), rare.cost, job.limit,
    expires_at and clock.shown(tx, expires_at) or 0, fate) .. retry .. job_status.reason(job)
  reply[at + 2] = job_record.payload(job)
  reply[at + 3] = job_status.error(tx, note)
  if not tx.tells_output then return end
  local batch = batches.of(tx, job.newer)
  reply[at + 4], reply[at + 5] = pack_progress(tx, note), batch and batch.id or ''
end

-- Append the same of a job of which only a tombstone or a deleted record is left, with the result of a finished job (''
-- for none) in the place of the progress. field: queue_id:job_id.
function job_status.add_remembered(tx, reply, state, field, job)
  local at = #reply
  reply[at + 1] = pack_bytes(job_status.REMEMBERED, state, job.attempt, clock.shown(tx, job.enqueued))
  reply[at + 2], reply[at + 3] = '', ''
  if not tx.tells_output then return end
  reply[at + 4], reply[at + 5] = state == remembered.FINISHED and results.find(tx, field, job.token) or '', ''
end
