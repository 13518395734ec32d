-- Tombstones: the memory of jobs that are gone: finished, cancelled by their id, or dropped because they expired. A job
-- that went with its queue has one only if it was leased at least once.
--
-- done0, done1  type:queue_id:job_id -> format, kind, lease token, when, enqueued, attempt
--
-- A partition has two generations of tombstones. done0 takes new ones. done1 is unlinked whole when the retention has
-- passed, and done0 takes its place.
--
-- Uses: shortcuts, lists, job_record

local tombstones = {
  -- kinds; the job of the kind after one of the last three was released before it went
  FINISHED = 1,
  CANCELLED = 2,  -- with its queue
  REMOVED = 4,    -- cancelled by its id
  EXPIRED = 6,
  FORMAT = '>BBc16I7I7I4',
  BEGAN = ':gen',            -- counters field: when done0 was first looked after (µs)
  TURN_AT = ':turn',         -- counters field: when the generations turn (µs)
  DROPPED_YOUNG = ':early',  -- counters field: how many were dropped younger than PROMISED_US
  PROMISED_US = 60000000,  -- tombstones dropped younger than this are counted
}

-- Add a tombstone of a kind for a job.
function tombstones.add(tx, job, kind)
  local name = tx.type .. ':' .. job.field
  local tombstone = pack_bytes(tombstones.FORMAT, 1, kind, job.token or job_record.NO_TOKEN, tx.now, job.enqueued,
    job.attempt)
  tx.tombstones = append(tx.tombstones, name, tombstone)
end

-- Add the tombstone of a job that is not finished. kind: CANCELLED, REMOVED or EXPIRED. A worker that had released the
-- job may repeat the release.
function tombstones.add_unfinished(tx, job, kind)
  tombstones.add(tx, job, job_record.has(job, job_record.RELEASED) and kind + 1 or kind)
end

-- Add the tombstones of plain jobs (job_record.plain_expiry) that were dropped because they expired, those of
-- fields[first] to fields[last]. records: theirs by the same indices.
function tombstones.add_row(tx, fields, records, first, last)
  local list, start = tx.tombstones or {}, tx.type .. ':'
  local head, now, at = string.char(1, tombstones.EXPIRED), pack_bytes('>I7', tx.now), #list
  for index = first, last do
    local token, enqueued, attempt = job_record.remembered(records[index])
    list[at + 1], list[at + 2] = start .. fields[index], head .. token .. now .. enqueued .. attempt
    at = at + 2
  end
  tx.tombstones = list
end

-- Return true if the job had been released before it went.
function tombstones.was_released(tombstone)
  return tombstone.kind > tombstones.FINISHED and tombstone.kind % 2 == 1
end

-- Return true if an enqueue with `repeat` is a duplicate of the job. One that went with its queue may come again.
function tombstones.forbids_repeat(tombstone)
  return tombstone.kind == tombstones.FINISHED or tombstone.kind >= tombstones.REMOVED
end

-- Return the tombstone that this call added under a name, or nil.
local function added(tx, name)
  local list = tx.tombstones or {}
  for at = #list - 1, 1, -2 do
    if list[at] == name then return list[at + 1] end
  end
end

-- Return a job's tombstone if it is younger than retention (µs), or nil.
function tombstones.find(tx, field, retention)
  local name = tx.type .. ':' .. field
  local raw = added(tx, name) or call('HGET', tx.keys[KEY.done0], name)
    or call('HGET', tx.keys[KEY.done1], name)
  if not raw then return nil end
  local _, kind, token, at, enqueued, attempt = unpack_bytes(tombstones.FORMAT, raw)
  if tx.now - at >= retention then return nil end
  return {kind = kind, token = token, at = at, enqueued = enqueued, attempt = attempt}
end

-- Write the tombstones of the call.
function tombstones.flush(tx)
  call('HSET', tx.keys[KEY.done0], unpack(tx.tombstones))
  tx.tombstones = false
end

-- Return when the generations turn, or nil while there are no tombstones. The answer is `now` if the younger generation
-- has no time yet or holds more than `limit`. It may be early, never late; tombstones.turn checks again.
-- due: the time in the counters (µs), or nil.
function tombstones.next_turn(tx, count, count_old, due, limit)
  if count + count_old == 0 then return nil end
  if not due or count > limit then return tx.now end
  return due
end

-- Turn the generations if the retention (µs) has passed since done0 got its time, or if done0 holds more than `limit`.
-- Cost: O(1). The store frees the old generation in the background.
function tombstones.turn(tx, retention, limit)
  local key, done0, done1 = tx.keys[KEY.counters], tx.keys[KEY.done0], tx.keys[KEY.done1]
  local began = tonumber(call('HGET', key, tombstones.BEGAN) or tx.now)
  local count = call('HLEN', done0)
  if tx.now - began >= retention or count > limit then
    if tx.now - began < tombstones.PROMISED_US then
      call('HINCRBY', key, tombstones.DROPPED_YOUNG, call('HLEN', done1))
    end
    call('UNLINK', done1)
    if count > 0 then call('RENAME', done0, done1) end
    began = tx.now
  end
  if call('EXISTS', done0, done1) == 0 then
    call('HDEL', key, tombstones.BEGAN, tombstones.TURN_AT)
  else
    call('HSET', key, tombstones.BEGAN, began, tombstones.TURN_AT, began + retention)
  end
end
