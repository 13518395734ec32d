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
  own.tombstones = own.tombstones or {}
  own.tombstones[own.type .. ':' .. job.field] = struct.pack(tombstones.FORMAT, 1, kind,
    job.token or job_record.NO_TOKEN, own.now, job.enqueued, job.attempt)
end

-- For a job that its queue's deletion took: whoever gave it back may say so again.
function tombstones.add_deleted(own, job)
  tombstones.add(own, job, job.flags == job_record.RELEASED and tombstones.RELEASED or tombstones.CANCELLED)
end

-- The tombstone of a job, younger than retention (µs), or nil.
function tombstones.find(own, queue_id, job_id, retention)
  local name = own.type .. ':' .. job_record.field(queue_id, job_id)
  local raw = own.tombstones and own.tombstones[name] or redis.call('HGET', own.keys.done0, name)
    or redis.call('HGET', own.keys.done1, name)
  if not raw then return nil end
  local _, kind, token, at, enqueued, attempt = struct.unpack(tombstones.FORMAT, raw)
  if own.now - at >= retention then return nil end
  return {kind = kind, token = token, at = at, enqueued = enqueued, attempt = attempt}
end

function tombstones.flush(own)
  local values = {}
  for name, raw in pairs(own.tombstones) do
    local count = #values
    values[count + 1], values[count + 2] = name, raw
  end
  own.tombstones = false
  local added = redis.call('HSET', own.keys.done0, unpack(values))
  own.stones = redis.call('HLEN', own.keys.done0)
  if own.stones == added then
    redis.call('HSETNX', own.keys.counters, 'gen', own.now)
    redis.call('ZADD', own.keys.agenda, 'NX', own.now, 'g')
  end
end

-- Turns the generations early when the younger one holds more than limit after what this call added to it; the reaper
-- turns them in time.
function tombstones.keep_bound(own, retention, limit)
  if own.stones and own.stones > limit then tombstones.turn(own, retention, limit) end
end

-- Turns the generations when the retention (µs) has passed, or when a generation holds more than limit.
-- Cost: O(1); the old generation is freed in the background.
function tombstones.turn(own, retention, limit)
  local began = tonumber(redis.call('HGET', own.keys.counters, 'gen') or own.now)
  local count = redis.call('HLEN', own.keys.done0)
  if own.now - began >= retention or count > limit then
    if own.now - began < tombstones.PROMISED_US then
      redis.call('HINCRBY', own.keys.counters, 'early', redis.call('HLEN', own.keys.done1))
    end
    redis.call('UNLINK', own.keys.done1)
    if count > 0 then redis.call('RENAME', own.keys.done0, own.keys.done1) end
    began = own.now
  end
  if redis.call('EXISTS', own.keys.done0, own.keys.done1) == 0 then
    redis.call('HDEL', own.keys.counters, 'gen')
    redis.call('ZREM', own.keys.agenda, 'g')
  else
    redis.call('HSET', own.keys.counters, 'gen', began)
    redis.call('ZADD', own.keys.agenda, began + retention, 'g')
  end
end
