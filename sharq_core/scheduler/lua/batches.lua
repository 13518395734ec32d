-- Batches: jobs of a type that carry the same id, counted by state in each partition.
--
-- notes:<type>  :n -> number of the newest batch (4 bytes)
--               :n<batch id> -> number of the batch (4 bytes)
--               :b<number, 4 bytes> -> format, flags (CANCELLED), jobs by state in the order of STATES, retention (µs),
--                                      since when none of its jobs waits or is leased (µs; 0: some do), length of the
--                                      id, the id; newer bytes
--               :q<number, 4 bytes><queue_id> -> how many of its jobs wait or are leased in a queue (decimal)
--
-- Fields of jobs hold a colon behind a queue id, so none of them begins with a colon. Numbers are not used twice while
-- a type has jobs or dead letters. A job whose batch was forgotten belongs to none.
--
-- In a call, tx.batches has the batches that it has read, by number, false for none. Each is written once, at the end.
--
-- Uses: shortcuts, lists, timer_kinds, job_record, notes, counters

local batches = {
  LAST = ':n', NUMBER = ':n', RECORD = ':b', IN_QUEUE = ':q',
  FORMAT = '>BBI6I6I6I6I6I6I7I7Bc0',
  STATES = {'queued', 'delayed', 'leased', 'finished', 'dead', 'cancelled'},
  CANCELLED = 1,        -- flag
  ASK_AGAIN = 1000000,  -- a call that cannot ask about an ended batch leaves it to another one this much later, µs
}

local LIVE = {queued = true, delayed = true, leased = true}

local function pack_number(number)
  return pack_bytes(job_record.BATCH_FORMAT, number)
end

local function unpack_batch(number, raw)
  local batch = {number = number}
  local _, at
  _, batch.flags, batch.queued, batch.delayed, batch.leased, batch.finished, batch.dead, batch.cancelled,
    batch.retention, batch.ended, batch.id, at = unpack_bytes(batches.FORMAT, raw)
  batch.rest = sub(raw, at)
  return batch
end

local function pack_batch(batch)
  return pack_bytes(batches.FORMAT, 1, batch.flags, batch.queued, batch.delayed, batch.leased, batch.finished,
    batch.dead, batch.cancelled, batch.retention, batch.ended, #batch.id, batch.id) .. batch.rest
end

-- Return the batch of a number, or nil.
function batches.get(tx, number)
  local cached = tx.batches
  if not cached then
    cached = {}
    tx.batches = cached
  end
  local batch = cached[number]
  if batch == nil then
    local raw = call('HGET', notes.key(tx), batches.RECORD .. pack_number(number))
    batch = raw and unpack_batch(number, raw)
    cached[number] = batch
  end
  return batch or nil
end

-- Return the batch of a job with these rarely used fields, or nil. newer: nil for none.
function batches.of(tx, newer)
  local number = newer and job_record.batch_in(newer)
  return number and batches.get(tx, number)
end

-- Return the batch of an id, or nil.
function batches.find(tx, id)
  for _, batch in pairs(tx.batches or {}) do
    if batch and batch.id == id then return batch end
  end
  local raw = call('HGET', notes.key(tx), batches.NUMBER .. id)
  return raw and batches.get(tx, (unpack_bytes(job_record.BATCH_FORMAT, raw)))
end

-- Return the batch of an id, which is created if need be. retention: how long it is remembered after its end (µs).
function batches.take(tx, id, retention)
  local batch = batches.find(tx, id)
  if not batch then
    local last = tx.last_batch or call('HGET', notes.key(tx), batches.LAST)
    local number = (last and unpack_bytes(job_record.BATCH_FORMAT, last) or 0) + 1
    tx.last_batch = pack_number(number)
    batch = {number = number, flags = 0, queued = 0, delayed = 0, leased = 0, finished = 0, dead = 0, cancelled = 0,
      ended = 0, id = id, rest = '', is_new = true}
    tx.batches = tx.batches or {}
    tx.batches[number] = batch
    counters.flag_batches(tx.counters)
  end
  batch.retention, batch.is_changed = retention, true
  return batch
end

-- Return how many jobs of a batch wait or are leased.
function batches.live(batch)
  return batch.queued + batch.delayed + batch.leased
end

-- Return true if a batch was cancelled.
function batches.is_cancelled(batch)
  return batch.flags % (2 * batches.CANCELLED) >= batches.CANCELLED
end

-- Return true if a job with these rarely used fields belongs to a batch that was cancelled. newer: nil for none.
function batches.has_cancelled(tx, newer)
  local batch = batches.of(tx, newer)
  return batch ~= nil and batches.is_cancelled(batch)
end

-- Cancel a batch: its waiting jobs are not leased any more, and it takes no further ones.
function batches.cancel(batch)
  if batches.is_cancelled(batch) then return end
  batch.flags, batch.is_changed = batch.flags + batches.CANCELLED, true
end

-- Count a job of a queue that enters (1) or leaves (-1) a state of STATES. newer: the rarely used fields of the job.
function batches.count(tx, queue_id, newer, state, difference)
  local batch = batches.of(tx, newer)
  if not batch then return end
  batch[state], batch.is_changed = math.max(batch[state] + difference, 0), true
  if not LIVE[state] then return end
  local in_queues = tx.batch_queues
  if not in_queues then
    in_queues = {}
    tx.batch_queues = in_queues
  end
  local name = pack_number(batch.number) .. queue_id
  in_queues[name] = (in_queues[name] or 0) + difference
end

-- Count a dead letter that was dropped or replaced.
function batches.drop_letter(tx, dead_letter)
  batches.count(tx, dead_letter.queue_id, dead_letter.newer, 'dead', -1)
  batches.count(tx, dead_letter.queue_id, dead_letter.newer, 'cancelled', 1)
end

-- Return when a batch may be forgotten (µs), or nil while a job of it waits or is leased.
function batches.forget_at(tx, batch)
  if batches.live(batch) > 0 then return nil end
  return (batch.ended > 0 and batch.ended or tx.now) + batch.retention
end

-- Forget a batch.
function batches.forget(tx, batch)
  local number = pack_number(batch.number)
  call('HDEL', notes.key(tx), batches.NUMBER .. batch.id, batches.RECORD .. number)
  call('ZREM', tx.keys[KEY.timers], BATCH_TIMER .. number)
  tx.batches[batch.number] = false
end

-- Note since when no job of a batch waits or is leased. A timer looks after it when its retention is over; one that
-- comes earlier checks.
local function watch_end(tx, batch)
  if batches.live(batch) > 0 then
    batch.ended = 0
  elseif batch.ended == 0 then
    batch.ended = tx.now
    local at = tx.now + batch.retention
    call('ZADD', tx.keys[KEY.timers], at, BATCH_TIMER .. pack_number(batch.number))
    if not tx.timer_hint or at < tx.timer_hint then tx.timer_hint = at end
  end
end

-- Write how many jobs of batches wait or are leased in the queues of the call.
local function flush_in_queues(tx)
  local fields, differences, put, gone = {}, {}, false, false
  for name, difference in pairs(tx.batch_queues) do
    if difference ~= 0 then
      fields[#fields + 1] = batches.IN_QUEUE .. name
      differences[#fields] = difference
    end
  end
  tx.batch_queues = nil
  if #fields == 0 then return end
  for index, count in ipairs(call('HMGET', notes.key(tx), unpack(fields))) do
    local sum = (count and tonumber(count) or 0) + differences[index]
    if sum > 0 then put = append(put, fields[index], sum) else gone = append(gone, fields[index]) end
  end
  if gone then call('HDEL', notes.key(tx), unpack(gone)) end
  if put then call('HSET', notes.key(tx), unpack(put)) end
end

-- Write the batches of the call. They stay known to it.
function batches.flush(tx)
  if tx.batch_queues then flush_in_queues(tx) end
  local put = false
  for number, batch in pairs(tx.batches) do
    if batch and batch.is_changed then
      watch_end(tx, batch)
      put = append(put, batches.RECORD .. pack_number(number), pack_batch(batch))
      if batch.is_new then put = append(put, batches.NUMBER .. batch.id, pack_number(number)) end
      batch.is_changed, batch.is_new = false, false
    end
  end
  if tx.last_batch then
    put = append(put, batches.LAST, tx.last_batch)
    tx.last_batch = nil
  end
  if put then call('HSET', notes.key(tx), unpack(put)) end
end
