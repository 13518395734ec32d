-- Dead letters: jobs past their requeue limit, kept for a person.
--
-- dead:<type>      queue_id:job_id -> time of death, µs
-- deadjobs:<type>  queue_id:job_id -> format, time of death, the queue's interval and burst (its record may be
--                  forgotten), in formats 2 to 4 also the hundredths of the burst and max_leased (0: none), in formats
--                  3 and 4 also the length of the job's note and the note (notes.lua; 0: none), in format 4 also the
--                  length of the names of the queue's caps and the names (cap_sets.lua), job. In formats 17 to 20,
--                  which are 1 to 4 besides, the job is one that expired, and stands there as it waited
--
-- deadcounts:<type>  queue_id -> number of the queue's dead letters
--                    '' -> dead letters of earlier times of death (µs) are not counted: an older library made them. The
--                    key goes with the last dead letter, so the counts become complete
--
-- A dead letter does not affect a live job with the same id. It replaces an older dead letter with the same id.
--
-- Uses: shortcuts, timer_kinds, cap_sets, job_record, notes, queue_limits, counters, batches

local dead_letters = {
  PREFIX = '>BI7I6I4', WITH_LIMITS = 2, LIMITS = '>BI4', WITH_NOTE = 3, NOTE_LENGTH = '>I2',
  WITH_CAPS = 4, CAPS_LENGTH = '>B',
  WAITED = 16,     -- what the format of a job that stands there as it waited has more
  VISITS = 1000,  -- dead letters that a page of one queue looks at
  READ = 4194304,  -- bytes of dead letters that a call reads for their batches, about 2 ms
}

do -- the functions below are private to this file

local function unpack_dead_letter(queue_id, field, raw)
  local format, died, interval, burst, job_at = unpack_bytes(dead_letters.PREFIX, raw)
  local hundredths, max_leased, note, caps_of_queue = 0, 0, nil, nil
  local has_waited = format > dead_letters.WAITED
  if has_waited then format = format - dead_letters.WAITED end
  if format >= dead_letters.WITH_LIMITS then
    hundredths, max_leased, job_at = unpack_bytes(dead_letters.LIMITS, raw, job_at)
  end
  if format >= dead_letters.WITH_NOTE then
    local length, note_at = unpack_bytes(dead_letters.NOTE_LENGTH, raw, job_at)
    job_at = note_at + length
    note = length > 0 and sub(raw, note_at, job_at - 1) or nil
  end
  if format == dead_letters.WITH_CAPS then
    local length, names_at = unpack_bytes(dead_letters.CAPS_LENGTH, raw, job_at)
    job_at = names_at + length
    caps_of_queue = sub(raw, names_at, job_at - 1)
  end
  local job = job_record.unpack(queue_id, field, sub(raw, job_at))
  if has_waited then job.state, job.flags, job.due = DEAD, job_record.EXPIRED, died end
  job.died, job.interval, job.burst, job.note, job.caps = died, interval, burst, note, caps_of_queue
  job.hundredths, job.max_leased = hundredths > 0 and hundredths or nil, max_leased > 0 and max_leased or nil
  return job
end

-- Return what stands before the job in a dead letter: what it keeps of its queue, and the note of the job (nil: none).
-- A limit that an operator set is none of the job's, and neither are such caps.
function dead_letters.prefix(tx, queue, note)
  local hundredths, max_leased, names = queue.hundredths, queue.max_leased, nil
  if queue_limits.has(queue, queue_limits.MAX_LEASED) then max_leased = nil end
  if queue.cap_set and not queue_limits.has(queue, queue_limits.CAPS) then
    names = cap_sets.names(tx, queue.cap_set)
    note = note or ''
  end
  if not hundredths and not max_leased and not note then
    return pack_bytes(dead_letters.PREFIX, 1, tx.now, queue.interval, queue.burst)
  end
  local format = names and dead_letters.WITH_CAPS or note and dead_letters.WITH_NOTE or dead_letters.WITH_LIMITS
  return pack_bytes(dead_letters.PREFIX, format, tx.now, queue.interval, queue.burst)
    .. pack_bytes(dead_letters.LIMITS, hundredths or 0, max_leased or 0)
    .. (note and pack_bytes(dead_letters.NOTE_LENGTH, #note) .. note or '')
    .. (names and pack_bytes(dead_letters.CAPS_LENGTH, #names) .. names or '')
end

-- Make a job a dead letter.
function dead_letters.bury(tx, queue, job)
  job.state, job.due = DEAD, tx.now
  tx.buried = tx.buried or {}
  tx.buried[job.field] = dead_letters.prefix(tx, queue, notes.of(tx, job)) .. job_record.pack(job)
  notes.drop(tx, job)
end

-- Make plain jobs (job_record.plain_expiry) of a queue dead letters, because they expired: those of fields[first] to
-- fields[last]. records: theirs by the same indices. They do not appear in tx.buried, but in lists that are written as
-- they are. Each record stands in its letter as it is, because to change it costs as much as to write it.
function dead_letters.bury_row(tx, queue, fields, records, first, last)
  local letters = tx.letters
  if not letters then
    letters = {rows = {}, places = {}, numbers = {}, died = string.format('%.0f', tx.now)}
    tx.letters, tx.buried = letters, tx.buried or {}
  end
  local prefix = queue.letter_prefix
  if not prefix then
    prefix = dead_letters.prefix(tx, queue)
    prefix = string.char(string.byte(prefix) + dead_letters.WAITED) .. sub(prefix, 2)
    queue.letter_prefix = prefix
  end
  local rows, places, numbers, died = letters.rows, letters.places, letters.numbers, letters.died
  local at = #rows
  for index = first, last do
    local field = fields[index]
    rows[at + 1], rows[at + 2] = field, prefix .. records[index]
    places[at + 1], places[at + 2] = died, field
    at = at + 2
  end
  local queue_id = queue.queue_id
  numbers[queue_id] = (numbers[queue_id] or 0) + last - first + 1
end

-- Give a new queue the rate and the limit of leases of the queue in which a job died. Its caps are in dead_letter.caps.
function dead_letters.restore_limits(queue, dead_letter)
  queue.interval, queue.burst = dead_letter.interval, dead_letter.burst
  if dead_letter.hundredths then queue_limits.set_hundredths(queue, dead_letter.hundredths) end
  if dead_letter.max_leased then
    queue_limits.extend(queue)
    queue.max_leased = dead_letter.max_leased
  end
end

-- Return the dead letter of a job if it is younger than retention (µs), or nil.
function dead_letters.find(tx, queue_id, field, retention)
  local raw = tx.buried and tx.buried[field] or call('HGET', tx.keys[KEY.deadjobs], field)
  if not raw then return nil end
  local job = unpack_dead_letter(queue_id, field, raw)
  return tx.now - job.died < retention and job or nil
end

-- Return the key of the counts. Nodes of revision 3 do not declare it.
local function counts_key(tx)
  return tx.keys[KEY.deadcounts]
    or sub(tx.keys[KEY.counters], 1, -#'counters' - 1) .. 'deadcounts:' .. tx.type
end

-- Return the stored count of a queue's dead letters, or false.
function dead_letters.count(tx, queue_id)
  return call('HGET', counts_key(tx), queue_id)
end

-- Return the stored counts of up to 1,000 queues, false for none.
function dead_letters.counts(tx, queue_ids)
  if #queue_ids == 0 then return {} end
  return call('HMGET', counts_key(tx), unpack(queue_ids))
end

-- Return a page of the counts, as HSCAN does: the next scan, and queue_id and stored count of each queue. The id '' is
-- none of a queue. pattern: a glob pattern of the ids.
function dead_letters.scan_counts(tx, scan, count, pattern)
  return call('HSCAN', counts_key(tx), scan, 'MATCH', pattern or '*', 'COUNT', count)
end

-- Return a stored count as a number.
function dead_letters.number(count)
  return count and tonumber(count) or 0
end

-- Return since which time of death (µs) dead letters are counted. Sets it for the first one.
local function counted_since(tx)
  local key = counts_key(tx)
  local since = call('HGET', key, '')
  if since then return tonumber(since) end
  since = call('EXISTS', tx.keys[KEY.dead]) == 0 and 0 or tx.now
  call('HSET', key, '', since)
  return since
end

-- Return the queue_id of a field.
local function queue_of(field)
  return sub(field, 1, string.find(field, ':', 1, true) - 1)
end

-- Add to the number of a queue.
local function tally(numbers, queue_id, count)
  numbers[queue_id] = (numbers[queue_id] or 0) + count
end

-- Add the fields to the numbers of their queues. Those of a queue mostly stand together.
local function tally_all(numbers, fields)
  local queue_id, start, count = nil, nil, 0
  for index = 1, #fields do
    local field = fields[index]
    if not start or sub(field, 1, #start) ~= start then
      if start then tally(numbers, queue_id, count) end
      queue_id, count = queue_of(field), 0
      start = queue_id .. ':'
    end
    count = count + 1
  end
  if start then tally(numbers, queue_id, count) end
end

-- Return the fields of a list of times and fields.
local function fields_of(places)
  local fields = {}
  for at = 2, #places, 2 do fields[#fields + 1] = places[at] end
  return fields
end

-- Add numbers by queue to the counts. sign: 1 or -1.
local function change_counts(tx, numbers, sign)
  local key = counts_key(tx)
  for queue_id, number in pairs(numbers) do
    if call('HINCRBY', key, queue_id, sign * number) <= 0 then call('HDEL', key, queue_id) end
  end
end

-- Return those of the fields that have no dead letter yet, or one that was not counted.
local function uncounted(tx, fields, since)
  local died, new_fields = call('ZMSCORE', tx.keys[KEY.dead], unpack(fields)), {}
  for index, field in ipairs(fields) do
    if not died[index] or tonumber(died[index]) < since then new_fields[#new_fields + 1] = field end
  end
  return new_fields
end

-- Return the dead letters of some fields, if any may belong to a batch.
local function letters_of_batches(tx, fields)
  local letters = {}
  if not counters.has_batches(tx.counters) then return letters end
  for index, raw in ipairs(call('HMGET', tx.keys[KEY.deadjobs], unpack(fields))) do
    local field = fields[index]
    if raw then
      letters[#letters + 1] = unpack_dead_letter(queue_of(field), field, raw)
    end
  end
  return letters
end

-- Count the dead letters of batches that are dropped or replaced.
local function leave_batches(tx, letters)
  for _, letter in ipairs(letters) do batches.drop_letter(tx, letter) end
end

-- Write the dead letters of the call.
function dead_letters.flush(tx)
  local since, letters = counted_since(tx), tx.letters or {rows = {}, places = {}, numbers = {}}
  local rows, places, numbers = letters.rows, letters.places, letters.numbers
  for field, raw in pairs(tx.buried) do
    local at = #rows
    rows[at + 1], rows[at + 2] = field, raw
    places[at + 1], places[at + 2] = tx.now, field
    tally(numbers, queue_of(field), 1)
  end
  if counters.has_batches(tx.counters) then leave_batches(tx, letters_of_batches(tx, fields_of(places))) end
  local replaced = #rows / 2 - call('HSET', tx.keys[KEY.deadjobs], unpack(rows))
  if replaced > 0 then
    counters.cancel_dead(tx, replaced)
    numbers = {}
    tally_all(numbers, uncounted(tx, fields_of(places), since))
  end
  call('ZADD', tx.keys[KEY.dead], unpack(places))
  change_counts(tx, numbers, 1)
  if call('ZADD', tx.keys[KEY.timers], 'NX', tx.now, LETTERS_TIMER) == 1 then
    tx.timer_hint = math.min(tx.timer_hint or tx.now, tx.now)
  end
  tx.buried, tx.letters = false, nil
end

-- Count the dead letters that go.
local function forget_counted(tx, key, fields)
  local numbers, since = {}, tonumber(call('HGET', key, '') or math.huge)
  local died = call('ZMSCORE', tx.keys[KEY.dead], unpack(fields))
  for index = 1, #fields do
    if died[index] and tonumber(died[index]) >= since then tally(numbers, queue_of(fields[index]), 1) end
  end
  change_counts(tx, numbers, -1)
end

-- Remove up to 1,000 dead letters. The caller changes the totals.
function dead_letters.remove(tx, fields)
  local dead, key = tx.keys[KEY.dead], counts_key(tx)
  forget_counted(tx, key, fields)
  call('ZREM', dead, unpack(fields))
  call('HDEL', tx.keys[KEY.deadjobs], unpack(fields))
  if call('EXISTS', dead) == 0 then call('DEL', key) end
end

-- Remove the first dead letters of all, which have these fields. This costs half as much as `remove`.
local function remove_first(tx, fields)
  local dead, key = tx.keys[KEY.dead], counts_key(tx)
  local oldest = tonumber(call('ZRANGE', dead, 0, 0, 'WITHSCORES')[2])
  if oldest >= tonumber(call('HGET', key, '') or math.huge) then
    local numbers = {}
    tally_all(numbers, fields)
    change_counts(tx, numbers, -1)
  else
    forget_counted(tx, key, fields)
  end
  call('ZREMRANGEBYRANK', dead, 0, #fields - 1)
  call('HDEL', tx.keys[KEY.deadjobs], unpack(fields))
  if call('EXISTS', dead) == 0 then call('DEL', key) end
end

-- Remove the fields from a list behind the first ones that have READ bytes together, if they may belong to batches.
local function cut_to_budget(tx, fields)
  if not counters.has_batches(tx.counters) then return end
  local bytes = 0
  for index, field in ipairs(fields) do
    bytes = bytes + call('HSTRLEN', tx.keys[KEY.deadjobs], field)
    if index > 1 and bytes > dead_letters.READ then
      for last = #fields, index, -1 do fields[last] = nil end
      return
    end
  end
end

-- Drop up to `limit` of the oldest dead letters with a time of death from first to last (bounds of a ZRANGE). Returns
-- how many were dropped.
function dead_letters.drop(tx, first, last, limit)
  if limit <= 0 then return 0 end
  local fields = call('ZRANGE', tx.keys[KEY.dead], first, last, 'BYSCORE', 'LIMIT', 0, limit)
  if #fields > 0 then
    cut_to_budget(tx, fields)
    leave_batches(tx, letters_of_batches(tx, fields))
    if first == '-inf' then remove_first(tx, fields) else dead_letters.remove(tx, fields) end
    counters.cancel_dead(tx, #fields)
  end
  return #fields
end

-- Drop those of the named dead letters that are younger than retention (µs). Returns a table that has them by field.
function dead_letters.drop_named(tx, fields, retention)
  local died, young_fields, dropped = call('ZMSCORE', tx.keys[KEY.dead], unpack(fields)), {}, {}
  for index, field in ipairs(fields) do
    if died[index] and tx.now - tonumber(died[index]) < retention and not dropped[field] then
      young_fields[#young_fields + 1], dropped[field] = field, true
    end
  end
  if #young_fields > 0 then
    leave_batches(tx, letters_of_batches(tx, young_fields))
    dead_letters.remove(tx, young_fields)
    counters.cancel_dead(tx, #young_fields)
  end
  return dropped
end

-- Call visit(job) for up to `limit` dead letters and about `budget` bytes of payload, oldest first, after the one with
-- the time of death `at` and the field `field`. retention is in µs. queue_id: only those of this queue, among the next
-- VISITS of all; nil: of all queues.
-- Returns true if more follow, and then the time of death and the field of the last dead letter that was looked at.
function dead_letters.each(tx, at, field, limit, budget, retention, queue_id, visit)
  local floor, width = math.max(at, tx.now - retention + 1), queue_id and dead_letters.VISITS or limit + 256
  local start = call('ZCOUNT', tx.keys[KEY.dead], '-inf', '(' .. string.format('%.0f', floor))
  local row = call('ZRANGE', tx.keys[KEY.dead], start, start + width, 'WITHSCORES')
  local count, bytes = 0, 0
  for index = 1, #row, 2 do
    local name, died = row[index], tonumber(row[index + 1])
    local of = (died > at or name > field) and sub(name, 1, string.find(name, ':', 1, true) - 1)
    local raw = of and (not queue_id or of == queue_id) and call('HGET', tx.keys[KEY.deadjobs], name)
    if raw then
      if count == limit or (count > 0 and bytes + #raw > budget) then return true, at, field end
      visit(unpack_dead_letter(of, name, raw))
      count, bytes = count + 1, bytes + #raw
    end
    if of then at, field = died, name end
  end
  return queue_id and #row > 2 * width, at, field
end

end
