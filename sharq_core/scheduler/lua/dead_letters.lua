-- Dead letters: jobs past their requeue limit, kept for a person.
--
-- dead:<type>      queue_id:job_id -> time of death, µs
-- deadjobs:<type>  queue_id:job_id -> time of death, the queue's interval and burst (its record may be forgotten), job
--
-- A dead letter does not affect a live job with the same id. It replaces an older dead letter with the same id.
--
-- Uses: shortcuts, timer_kinds, job_record, counters

local dead_letters = {PREFIX = '>BI7I6I4', PREFIX_LENGTH = 18}

local function unpack_dead_letter(queue_id, field, raw)
  local _, at, interval, burst = unpack_bytes(dead_letters.PREFIX, raw)
  local job = job_record.unpack(queue_id, field, sub(raw, dead_letters.PREFIX_LENGTH + 1))
  job.died, job.interval, job.burst = at, interval, burst
  return job
end

-- Make a job a dead letter.
function dead_letters.bury(tx, queue, job)
  job.state, job.due = DEAD, tx.now
  tx.died = (tx.died or 0) + 1
  tx.buried = tx.buried or {}
  tx.buried[job.field] =
    pack_bytes(dead_letters.PREFIX, 1, tx.now, queue.interval, queue.burst) .. job_record.pack(job)
end

-- Return the dead letter of a job if it is younger than retention (µs), or nil.
function dead_letters.find(tx, queue_id, field, retention)
  local raw = tx.buried and tx.buried[field] or call('HGET', tx.keys[KEY.deadjobs], field)
  if not raw then return nil end
  local job = unpack_dead_letter(queue_id, field, raw)
  return tx.now - job.died < retention and job or nil
end

-- Write the dead letters of the call.
function dead_letters.flush(tx)
  for field, raw in pairs(tx.buried) do
    if call('HSET', tx.keys[KEY.deadjobs], field, raw) == 0 then counters.cancel_dead(tx, 1) end
    call('ZADD', tx.keys[KEY.dead], tx.now, field)
  end
  if call('ZADD', tx.keys[KEY.timers], 'NX', tx.now, LETTERS_TIMER) == 1 then tx.timer_hint = tx.now end
  tx.buried = false
end

-- Remove one dead letter; the caller counts it.
function dead_letters.take(tx, field)
  call('ZREM', tx.keys[KEY.dead], field)
  call('HDEL', tx.keys[KEY.deadjobs], field)
end

-- Drop up to `limit` of the oldest dead letters with a time of death from first to last (bounds of a ZRANGE). Returns
-- how many were dropped.
function dead_letters.drop(tx, first, last, limit)
  if limit <= 0 then return 0 end
  local fields = call('ZRANGE', tx.keys[KEY.dead], first, last, 'BYSCORE', 'LIMIT', 0, limit)
  if #fields > 0 then
    call('ZREM', tx.keys[KEY.dead], unpack(fields))
    call('HDEL', tx.keys[KEY.deadjobs], unpack(fields))
    counters.cancel_dead(tx, #fields)
  end
  return #fields
end

-- Call visit(job) for up to `limit` dead letters and about `budget` bytes of payload, oldest first, after the one with
-- the time of death `at` and the field `field`. retention is in µs. Returns true if more follow.
function dead_letters.each(tx, at, field, limit, budget, retention, visit)
  local floor = math.max(at, tx.now - retention + 1)
  local start = call('ZCOUNT', tx.keys[KEY.dead], '-inf', '(' .. string.format('%.0f', floor))
  local row = call('ZRANGE', tx.keys[KEY.dead], start, start + limit + 256, 'WITHSCORES')
  local count, bytes = 0, 0
  for index = 1, #row, 2 do
    local name, died = row[index], tonumber(row[index + 1])
    if died > at or name > field then
      local raw = call('HGET', tx.keys[KEY.deadjobs], name)
      if raw then
        if count == limit or (count > 0 and bytes + #raw > budget) then return true end
        local colon = string.find(name, ':', 1, true)
        visit(unpack_dead_letter(sub(name, 1, colon - 1), name, raw))
        count, bytes = count + 1, bytes + #raw
      end
    end
  end
  return false
end
