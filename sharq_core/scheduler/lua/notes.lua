-- Notes on jobs: what few jobs have and what has no room in their records, which is the latest error of a release, the
-- latest progress that an extend reported, the context of the trace in which the job was made, and the permits of its
-- lease.
--
-- notes:<type>  queue_id:job_id -> format, then for each kind: kind, length, contents
--               ERROR: attempt that failed, time of the release (µs), text
--               PROGRESS: time of the extend (µs), JSON
--               TRACE: as the caller packs it (sharq_core/telemetry/trace_context.py); no function reads it
--               PERMITS: see job_permits.lua
--
-- A job has a note if and only if its record has the flag NOTED, so other jobs pay nothing. The note goes with the
-- record of the job, or moves into its dead letter.
--
-- The key has no number in KEY. Its name is derived from that of the counters: few calls need it, and nodes of revision
-- 4 do not declare it.
--
-- In a call, tx.notes has the notes that it writes, by field; false for one that goes. nil: none.
--
-- Uses: shortcuts, lists, job_record

local notes = {
  FORMAT = '\1',
  ERROR = 1, PROGRESS = 2, TRACE = 3, PERMITS = 4,  -- kinds
  ENTRY = '>BI2',     -- kind, length
  FAILURE = '>I4I7',  -- attempt, time; then the text
  PROGRESS_AT = '>I7',  -- time; then the JSON
}

-- Return the key of the notes. The fields that begin with a colon are batches (batches.lua).
function notes.key(tx)
  return sub(tx.keys[KEY.counters], 1, -#'counters' - 1) .. 'notes:' .. tx.type
end

-- Return where an entry of a note begins, and the first and the last byte of its contents; nil if there is none.
local function find_entry(raw, kind)
  local at = #notes.FORMAT + 1
  while at <= #raw do
    local entry_kind, length, first = unpack_bytes(notes.ENTRY, raw, at)
    if entry_kind == kind then return at, first, first + length - 1 end
    at = first + length
  end
end

-- Return the note of a job that has the flag NOTED.
local function read_note(tx, field)
  local written = tx.notes and tx.notes[field]
  if written ~= nil then return written end
  return call('HGET', notes.key(tx), field)
end

-- Return the error in a note as attempt, time (µs) and text; nil if there is none. raw: nil or false for no note.
function notes.error(raw)
  local _, first, last = find_entry(raw or '', notes.ERROR)
  if not first then return nil end
  local attempt, at, text_at = unpack_bytes(notes.FAILURE, raw, first)
  return attempt, at, sub(raw, text_at, last)
end

-- Return the progress in a note as time (µs) and JSON; nil if there is none. raw: nil or false for no note.
function notes.progress(raw)
  local _, first, last = find_entry(raw or '', notes.PROGRESS)
  if not first then return nil end
  local at, json_at = unpack_bytes(notes.PROGRESS_AT, raw, first)
  return at, sub(raw, json_at, last)
end

-- Return the trace in a note, or nil. raw: nil or false for no note.
function notes.trace(raw)
  local _, first, last = find_entry(raw or '', notes.TRACE)
  return first and sub(raw, first, last)
end

-- Return the note of a job, or nil.
function notes.of(tx, job)
  return job_record.is_noted(job) and read_note(tx, job.field) or nil
end

-- Write an entry of a job's note instead of an earlier one of its kind. The caller writes the record of the job.
local function put_entry(tx, job, kind, contents)
  local raw = notes.of(tx, job) or notes.FORMAT
  local at, _, last = find_entry(raw, kind)
  if at then raw = sub(raw, 1, at - 1) .. sub(raw, last + 1) end
  tx.notes = tx.notes or {}
  tx.notes[job.field] = raw .. pack_bytes(notes.ENTRY, kind, #contents) .. contents
  job_record.note(job)
end

-- Write the error of a job's newest attempt.
function notes.set_error(tx, job, text)
  put_entry(tx, job, notes.ERROR, pack_bytes(notes.FAILURE, job.attempt, tx.now) .. text)
end

-- Write the progress of a job.
function notes.set_progress(tx, job, json)
  put_entry(tx, job, notes.PROGRESS, pack_bytes(notes.PROGRESS_AT, tx.now) .. json)
end

-- Write the permits of a job's lease.
function notes.set_permits(tx, job, raw)
  put_entry(tx, job, notes.PERMITS, raw)
end

-- Return the permits of a job's lease, '' if there are none.
function notes.permits(tx, job)
  local raw = notes.of(tx, job) or ''
  local _, first, last = find_entry(raw, notes.PERMITS)
  return first and sub(raw, first, last) or ''
end

-- Remove the permits of a job's lease from its note, and the note if nothing else is left. Returns them.
function notes.take_permits(tx, job)
  local raw = notes.of(tx, job) or notes.FORMAT
  local at, first, last = find_entry(raw, notes.PERMITS)
  if not at then return '' end
  local rest = sub(raw, 1, at - 1) .. sub(raw, last + 1)
  tx.notes = tx.notes or {}
  if rest == notes.FORMAT then
    tx.notes[job.field] = false
    job_record.unnote(job)
  else
    tx.notes[job.field] = rest
  end
  return sub(raw, first, last)
end

-- Write the trace of a new job, whose record the caller writes. Returns its rarely used fields with the flag NOTED.
-- newer: those without it, nil for none.
function notes.begin(tx, field, trace, newer)
  tx.notes = tx.notes or {}
  tx.notes[field] = notes.FORMAT .. pack_bytes(notes.ENTRY, notes.TRACE, #trace) .. trace
  return job_record.put_note(newer)
end

-- Drop the note of a job, if it has one. The record of the job goes, too.
function notes.drop(tx, job)
  if not job_record.is_noted(job) then return end
  tx.notes = tx.notes or {}
  tx.notes[job.field] = false
end

-- Write the notes of the call.
function notes.flush(tx)
  local put, gone = false, false
  for field, raw in pairs(tx.notes) do
    if raw then put = append(put, field, raw) else gone = append(gone, field) end
  end
  if gone then call('HDEL', notes.key(tx), unpack(gone)) end
  if put then call('HSET', notes.key(tx), unpack(put)) end
  tx.notes = nil
end
