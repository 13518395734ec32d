-- Jobs past their requeue limit, kept for a person.
--
-- dead:<type>      queue_id:job_id -> time of death, µs
-- deadjobs:<type>  queue_id:job_id -> time of death, the queue's interval and burst (its record may be forgotten), job
--
-- A live job of the same id is untouched; an older dead letter of the same id is replaced.

local dead_letters = {PREFIX = '>BI7I6I4', PREFIX_LENGTH = 18}

local function unpack_letter(queue_id, field, raw)
  local _, at, interval, burst = unpack_bytes(dead_letters.PREFIX, raw)
  local job = job_record.unpack(queue_id, field, sub(raw, dead_letters.PREFIX_LENGTH + 1))
  job.died, job.interval, job.burst = at, interval, burst
  return job
end

function dead_letters.bury(own, queue, job)
  job.state, job.due = DEAD, own.now
  own.died = (own.died or 0) + 1
  own.buried = own.buried or {}
  own.buried[job.field] =
    pack_bytes(dead_letters.PREFIX, 1, own.now, queue.interval, queue.burst) .. job_record.pack(job)
end

-- The dead letter, younger than retention (µs), or nil.
function dead_letters.find(own, queue_id, field, retention)
  local raw = own.buried and own.buried[field] or call('HGET', own.keys[KEY.deadjobs], field)
  if not raw then return nil end
  local job = unpack_letter(queue_id, field, raw)
  return own.now - job.died < retention and job or nil
end

function dead_letters.flush(own)
  for field, raw in pairs(own.buried) do
    if call('HSET', own.keys[KEY.deadjobs], field, raw) == 0 then counters.cancel_dead(own, 1) end
    call('ZADD', own.keys[KEY.dead], own.now, field)
  end
  if call('ZADD', own.keys[KEY.timers], 'NX', own.now, 'X') == 1 then own.timer_hint = own.now end
  own.buried = false
end

-- Takes one dead letter away; what becomes of it is the caller's.
function dead_letters.take(own, field)
  call('ZREM', own.keys[KEY.dead], field)
  call('HDEL', own.keys[KEY.deadjobs], field)
end

-- Drops up to limit of the oldest whose time of death is from first to last, bounds of a ZRANGE; returns how many.
function dead_letters.drop(own, first, last, limit)
  if limit <= 0 then return 0 end
  local fields = call('ZRANGE', own.keys[KEY.dead], first, last, 'BYSCORE', 'LIMIT', 0, limit)
  if #fields > 0 then
    call('ZREM', own.keys[KEY.dead], unpack(fields))
    call('HDEL', own.keys[KEY.deadjobs], unpack(fields))
    counters.cancel_dead(own, #fields)
  end
  return #fields
end

-- Up to limit dead letters (and about budget bytes of payload), oldest first, after the one that died at `at` as
-- `field`. Calls visit(job) for each; returns true when more follow.
function dead_letters.each(own, at, field, limit, budget, retention, visit)
  local floor = math.max(at, own.now - retention + 1)
  local start = call('ZCOUNT', own.keys[KEY.dead], '-inf', '(' .. string.format('%.0f', floor))
  local row = call('ZRANGE', own.keys[KEY.dead], start, start + limit + 256, 'WITHSCORES')
  local count, bytes = 0, 0
  for index = 1, #row, 2 do
    local name, died = row[index], tonumber(row[index + 1])
    if died > at or name > field then
      local raw = call('HGET', own.keys[KEY.deadjobs], name)
      if raw then
        if count == limit or (count > 0 and bytes + #raw > budget) then return true end
        local colon = string.find(name, ':', 1, true)
        visit(unpack_letter(sub(name, 1, colon - 1), name, raw))
        count, bytes = count + 1, bytes + #raw
      end
    end
  end
  return false
end
