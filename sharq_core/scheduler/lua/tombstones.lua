-- What is remembered of jobs that are gone: finished ones, and deleted ones that somebody held a lease of.
--
-- done0, done1  type:queue_id:job_id -> format, kind, lease token, when, enqueued, attempt
--
-- Two generations of the whole partition; done0 takes new ones, done1 is unlinked whole when the retention turns.

local tombstones = {
  FINISHED = 1, CANCELLED = 2, RELEASED = 3,
  FORMAT = '>BBc16I7I7I4',
  PROMISED_US = 60000000,  -- what goes younger than this is counted
}

function tombstones.add(own, job, kind)
  local name = own.type .. ':' .. job.field
  local stone = pack_bytes(tombstones.FORMAT, 1, kind, job.token or job_record.NO_TOKEN, own.now, job.enqueued,
    job.attempt)
  own.tombstones = append(own.tombstones, name, stone)
end

-- For a job that its queue's deletion took: whoever gave it back may say so again.
function tombstones.add_deleted(own, job)
  tombstones.add(own, job, job.flags == job_record.RELEASED and tombstones.RELEASED or tombstones.CANCELLED)
end

-- The tombstone that this call added under a name.
local function added(own, name)
  local stones = own.tombstones or {}
  for at = #stones - 1, 1, -2 do
    if stones[at] == name then return stones[at + 1] end
  end
end

-- The tombstone of a job, younger than retention (µs), or nil.
function tombstones.find(own, field, retention)
  local name = own.type .. ':' .. field
  local raw = added(own, name) or call('HGET', own.keys[KEY.done0], name)
    or call('HGET', own.keys[KEY.done1], name)
  if not raw then return nil end
  local _, kind, token, at, enqueued, attempt = unpack_bytes(tombstones.FORMAT, raw)
  if own.now - at >= retention then return nil end
  return {kind = kind, token = token, at = at, enqueued = enqueued, attempt = attempt}
end

function tombstones.flush(own)
  call('HSET', own.keys[KEY.done0], unpack(own.tombstones))
  own.tombstones = false
end

-- When the generations are to turn, or nil while nothing is remembered: at once when the younger one, not looked after
-- yet, has no time, or holds more than limit. early, never late: `turn` looks again. due: what the counters say.
function tombstones.next_turn(own, count, count_old, due, limit)
  if count + count_old == 0 then return nil end
  if not due or count > limit then return own.now end
  return due
end

-- Turns the generations when the retention (µs) has passed since the younger one was first looked after, or when it
-- holds more than limit. Cost: O(1); the old generation is freed in the background.
function tombstones.turn(own, retention, limit)
  local key, done0, done1 = own.keys[KEY.counters], own.keys[KEY.done0], own.keys[KEY.done1]
  local began = tonumber(call('HGET', key, ':gen') or own.now)
  local count = call('HLEN', done0)
  if own.now - began >= retention or count > limit then
    if own.now - began < tombstones.PROMISED_US then
      call('HINCRBY', key, ':early', call('HLEN', done1))
    end
    call('UNLINK', done1)
    if count > 0 then call('RENAME', done0, done1) end
    began, count = own.now, 0
  end
  if call('EXISTS', done0, done1) == 0 then
    call('HDEL', key, ':gen', ':turn')
  else
    call('HSET', key, ':gen', began, ':turn', began + retention)
  end
end
