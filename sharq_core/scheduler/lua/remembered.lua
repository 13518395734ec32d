-- The remains of a job that is not live any more: its dead letter, its tombstone, or a record that is still to be
-- swept. The newest of them counts, because an id may be used again.
--
-- Uses: job_record, tombstones, dead_letters

local remembered = {FINISHED = 5, CANCELLED = 6, EXPIRED = 7}  -- states, beside those of job_record.lua

-- Return the state that a tombstone tells of.
local function state_of(tombstone)
  if tombstone.kind == tombstones.FINISHED then return remembered.FINISHED end
  return tombstone.kind < tombstones.EXPIRED and remembered.CANCELLED or remembered.EXPIRED
end

-- Return the state of such a job, and its dead letter, tombstone or record, which all have attempt and enqueued. nil:
-- nothing is known. deleted: the record of a deleted job that is still to be swept, or nil. Retentions are in µs.
-- is_plain: the caller knows only finished and dead jobs.
function remembered.find(tx, queue_id, field, deleted, retention, dead_retention, is_plain)
  if deleted and not is_plain and (deleted.attempt > 0 or deleted.token) then return remembered.CANCELLED, deleted end
  local dead_letter, tombstone = dead_letters.find(tx, queue_id, field, dead_retention),
    tombstones.find(tx, field, retention)
  if is_plain and tombstone and tombstone.kind ~= tombstones.FINISHED then tombstone = nil end
  if dead_letter and not (tombstone and tombstone.at >= dead_letter.died) then return DEAD, dead_letter end
  if tombstone then return state_of(tombstone), tombstone end
end
