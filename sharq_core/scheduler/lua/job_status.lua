-- The state of a job in replies. sharq_core/scheduler/status_replies.py reads it.
--
-- Uses: shortcuts, clock, cap_sets, windows, retry_policy, job_record, notes, queue_windows, queue_life, lines,
-- blocked_by, batches, results, unit, remembered

local job_status = {
  -- state (remembered.lua), attempt, enqueued (µs), due (µs, as in job_record.unpack), position (1 for the next job of
  -- the queue, 0: not told), priority of the API, cost, requeue limit, time of expiry (µs, 0: never), fate then
  -- (queue_life.lua, 0: it never expires), retry policy (its factor 0: none), reason of death (REASON)
  HEAD = '>BI4I8I8I4BI4i4I8B',
  REASON = '>B',
  ALIVE = '\0', LIMIT = '\1', EXPIRED = '\2',
  ERROR = '>I4I8',  -- attempt, time (µs); then the text
  WINDOW = '>BI8',  -- 1 if the job ignores windows, when it may leave (µs); then the name of its window
  PROGRESS = '>I8',  -- time (µs); then the JSON
  -- the same of a job of which only state, attempt and enqueued are known
  REMEMBERED = '>BI4I8',
}

-- Return the position of a queued job in its queue, from 1.
function job_status.position(tx, queue, job)
  local queue_id, key, count = job.queue_id, tx.keys[KEY.queued], 0
  if queue.lines then return lines.count_before(tx, queue, job) + 1 end
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

-- Return the state of the windows of a job: if it ignores them, when they let it leave (µs, the store's clock; 0: they
-- are open, or it is not known), and the name of its own one; '' for nothing.
local function pack_window(tx, job)
  local _, number = job_record.window_in(job.newer)
  local queue = (job.state == QUEUED or job.state == DELAYED) and unit.queue(tx, job.queue_id)
  local opens_at, is_known = 0, true
  if queue then opens_at, is_known = lines.opening_of(tx, queue, number) end
  if not is_known or opens_at <= clock.store_time(tx) then opens_at = 0 end
  if not number and opens_at == 0 then return '' end
  local ignores = number == queue_windows.IGNORED
  local name = number and not ignores and windows.read(tx, number).name or ''
  return pack_bytes(job_status.WINDOW, ignores and 1 or 0, opens_at) .. name
end

-- Return why a waiting job is not leased: the number in blocked_by.lua, and, if the caps of its queue may be the
-- reason, their names; '' for a job that does not wait.
local function pack_reason(tx, job)
  local queue = (job.state == QUEUED or job.state == DELAYED) and unit.queue(tx, job.queue_id)
  if not queue then return '' end
  local reason = blocked_by.of_job(tx, queue, job)
  return string.char(reason) .. (reason == blocked_by.CAP and cap_sets.names(tx, queue.cap_set) or '')
end

-- Note what the caller can decode of a job. asked: '2' if it knows the progress or the result, the batch and the
-- window, '3' if it knows the trace, too, '4' if it knows these and the reason why a job waits.
function job_status.ask(tx, asked)
  tx.tells_output, tx.tells_trace = asked and asked >= '2', asked and asked >= '3'
  tx.tells_reason = asked and asked >= '4'
end

-- Append the state of a live job or of a dead letter to a reply: numbers, payload, error ('' for none), and, if
-- tx.tells_output, the progress, the batch and the window, if tx.tells_trace, the trace ('' for none), and, if
-- tx.tells_reason, the reason why it waits. position: 0 if it is not told.
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
  reply[at + 4], reply[at + 5], reply[at + 6] = pack_progress(tx, note), batch and batch.id or '', pack_window(tx, job)
  if tx.tells_trace then reply[at + 7] = notes.trace(note) or '' end
  if tx.tells_reason then reply[at + 8] = pack_reason(tx, job) end
end

-- Append the same of a job of which only a tombstone or a deleted record is left, with the result of a finished job (''
-- for none) in the place of the progress. field: queue_id:job_id.
function job_status.add_remembered(tx, reply, state, field, job)
  local at = #reply
  reply[at + 1] = pack_bytes(job_status.REMEMBERED, state, job.attempt, clock.shown(tx, job.enqueued))
  reply[at + 2], reply[at + 3] = '', ''
  if not tx.tells_output then return end
  reply[at + 4] = state == remembered.FINISHED and results.find(tx, field, job.token) or ''
  reply[at + 5], reply[at + 6] = '', ''
  if tx.tells_trace then reply[at + 7] = '' end
  if tx.tells_reason then reply[at + 8] = '' end
end
