-- The counts of a type in a partition: one record, which a call reads once and writes once.
--
-- counters  <type> -> numbers of the newest job and of the newest lease; the latest minute and how many jobs were
--                   enqueued and leased in it; the totals, with enqueued = queued + delayed + leased + finished + dead
--                   + cancelled (I8); the agenda: when the type's next queue and its next timer are due (early
--                   perhaps, never late; 0 none); newer bytes: flags (1: the type has settings, 2: it has
--                   or had batches, 4: queues of it have or had windows, 8: they have or had caps), absent for none;
--                   with the flag 8 then PARKING (parking.lua)
--           :s<type> -> the type's settings (type_settings.lua)
--           :p<type> -> the type's latest minute before the one in its record, jobs enqueued and leased in it
--           :m<0-9> -> minute, enqueued, leased of all types in an older minute, by the last digit of the minute
--           :gen, :turn, :early -> the generations of tombstones (tombstones.lua)
--           :clock -> the partition's time (clock.lua)
--           :d<tz>, :h<tz>, :calendars -> the periods of quotas (periods.lua)
--           :last -> the newest numbers of jobs and leases of dropped types, so that no number is used twice
--           :ahead -> jobs that a change moved ahead (queue_walk.lua)
--           :touches, :t<0-63> -> changes by nodes that do not own the partition (touched.lua)
--
-- Uses: shortcuts, clock, notes, quotas, type_settings

local counters = {
  MINUTE_US = 60000000,
  -- format, seq, lease, minute, jobs enqueued and leased in it, the totals by NAMES, ready_at, timer_at; then bytes of
  -- a newer version
  FORMAT = '>BI7I7I4I4I4I7I7I7I7I7I7I7I7I7',
  MINUTE = '>I4I7I7',
  LAST = '>I7I7',
  HAS_SETTINGS = 1, HAS_BATCHES = 2, HAS_WINDOWS = 4, HAS_CAPS = 8,  -- flags of the newer bytes
  PARKING = '>I7I4',           -- number of the latest change of parked queues, how many there are
  PARKING_LENGTH = 11,
  PAST_PREFIX = ':p',
  PAST = '>I4I4I4',            -- minute, jobs enqueued and leased in it
  ROW_FROM = 28, ROW_TO = 90,  -- bytes of the totals and the agenda
  PARKING_FROM = 92, PARKING_TO = 102,
  NAMES = {'enqueued', 'queued', 'delayed', 'leased', 'finished', 'dead', 'cancelled'},
}

-- Return the counts of a record. seq, lease: the newest numbers. minute_enqueued, minute_leased: the counts of the
-- latest minute. ready_at, timer_at, newer: false for none. is_known: the type has a record.
function counters.unpack(raw)
  local _, seq, lease, minute, minute_enqueued, minute_leased, enqueued, queued, delayed, leased, finished, dead,
    cancelled, ready_at, timer_at, newer_at = unpack_bytes(counters.FORMAT, raw)
  return {seq = seq, lease = lease, minute = minute, minute_enqueued = minute_enqueued, minute_leased = minute_leased,
    enqueued = enqueued, queued = queued, delayed = delayed, leased = leased, finished = finished, dead = dead,
    cancelled = cancelled, ready_at = ready_at > 0 and ready_at, timer_at = timer_at > 0 and timer_at,
    newer = newer_at <= #raw and sub(raw, newer_at), is_known = true}
end

-- Return the part of a record that a shard reads: nine numbers of 7 bytes, which are the totals by NAMES, ready_at and
-- timer_at (0: none); then PARKING, if queues of the type have or had caps.
function counters.row(raw)
  return sub(raw, counters.ROW_FROM, counters.ROW_TO) .. sub(raw, counters.PARKING_FROM, counters.PARKING_TO)
end

-- Unpack a record into the counts of another partition that a joint call no longer needs. This costs half as much as a
-- new table.
local function unpack_over(counts, raw)
  local _, ready_at, timer_at, newer_at
  _, counts.seq, counts.lease, counts.minute, counts.minute_enqueued, counts.minute_leased, counts.enqueued,
    counts.queued, counts.delayed, counts.leased, counts.finished, counts.dead, counts.cancelled, ready_at, timer_at,
    newer_at = unpack_bytes(counters.FORMAT, raw)
  counts.ready_at, counts.timer_at = ready_at > 0 and ready_at, timer_at > 0 and timer_at
  counts.newer, counts.is_known = newer_at <= #raw and sub(raw, newer_at), true
  return counts
end

-- Note in the newer bytes that the type has settings, or that it has none.
local function flag_settings(counts, has_settings)
  local flags = counts.newer and string.byte(counts.newer) or 0
  flags = flags - flags % 2 + (has_settings and counters.HAS_SETTINGS or 0)
  counts.newer = flags > 0 and string.char(flags) .. sub(counts.newer or '', 2)
end

-- Return true if counts say that the type has or had batches.
function counters.has_batches(counts)
  return counts.newer and string.byte(counts.newer) % (2 * counters.HAS_BATCHES) >= counters.HAS_BATCHES
end

-- Note that the type has batches. The flag goes with the record of the type.
function counters.flag_batches(counts)
  if counters.has_batches(counts) then return end
  local newer = counts.newer or '\0'
  counts.newer = string.char(string.byte(newer) + counters.HAS_BATCHES) .. sub(newer, 2)
end

-- Return how many jobs of a type were enqueued and leased in a minute. Only the latest two minutes with any are known.
function counters.in_minute(tx, type, counts, minute)
  if counts.minute == minute then return counts.minute_enqueued, counts.minute_leased end
  local raw = counts.minute > minute and call('HGET', tx.keys[KEY.counters], counters.PAST_PREFIX .. type)
  if raw then
    local past, enqueued, leased = unpack_bytes(counters.PAST, raw)
    if past == minute then return enqueued, leased end
  end
  return 0, 0
end

-- Return true if counts say that queues of the type have or had windows, or jobs with windows.
function counters.has_windows(counts)
  return counts.newer and string.byte(counts.newer) % (2 * counters.HAS_WINDOWS) >= counters.HAS_WINDOWS
end

-- Note that queues of the type have windows.
local function flag_windows(counts)
  if counters.has_windows(counts) then return end
  local newer = counts.newer or '\0'
  counts.newer = string.char(string.byte(newer) + counters.HAS_WINDOWS) .. sub(newer, 2)
end

-- Return true if counts say that queues of the type have or had caps.
function counters.has_caps(counts)
  return counts.newer and string.byte(counts.newer) % (2 * counters.HAS_CAPS) >= counters.HAS_CAPS
end

-- Return the number of the latest change of parked queues, and how many there are.
function counters.parking(counts)
  if not counters.has_caps(counts) then return 0, 0 end
  local changed, parked = unpack_bytes(counters.PARKING, counts.newer, 2)
  return changed, parked
end

-- Set them, and note that queues of the type have caps.
function counters.set_parking(counts, changed, parked)
  local newer, rest_at = counts.newer or '\0', 2
  local flags = string.byte(newer)
  if counters.has_caps(counts) then
    rest_at = rest_at + counters.PARKING_LENGTH
  else
    flags = flags + counters.HAS_CAPS
  end
  counts.newer = string.char(flags) .. pack_bytes(counters.PARKING, changed, math.max(parked, 0)) .. sub(newer, rest_at)
end

-- Return true if counts say that the type has settings.
function counters.has_settings(counts)
  return counts.newer and string.byte(counts.newer) % 2 == counters.HAS_SETTINGS
end

-- Return the newest numbers in the record of dropped types.
local function last_numbers(tx, raw)
  if not raw then return 0, 0 end
  tx.last = raw
  return unpack_bytes(counters.LAST, raw)
end

-- Return the counts of a type without a record. It may have settings.
local function new_counts(tx)
  local key = tx.keys[KEY.counters]
  local seq, lease = last_numbers(tx, call('HGET', key, ':last'))
  local raw = tx.has_settings and call('HGET', key, type_settings.field(tx.type))
  if raw then type_settings.open(tx, raw) end
  return {seq = seq, lease = lease, minute = 0, minute_enqueued = 0, minute_leased = 0, enqueued = 0, queued = 0,
    delayed = 0, leased = 0, finished = 0, dead = 0, cancelled = 0, ready_at = false, timer_at = false,
    newer = raw and '\1', is_known = false}
end

local function pack(counts)
  local queued, delayed, leased, dead = counts.queued, counts.delayed, counts.leased, counts.dead
  return pack_bytes(counters.FORMAT, 1, counts.seq, counts.lease, counts.minute, counts.minute_enqueued,
    counts.minute_leased, counts.enqueued, queued > 0 and queued or 0, delayed > 0 and delayed or 0,
    leased > 0 and leased or 0, counts.finished, dead > 0 and dead or 0, counts.cancelled, counts.ready_at or 0,
    counts.timer_at or 0) .. (counts.newer or '')
end

-- Start to count another minute. The counts of the last minute are added to those of all types, unless this minute is
-- ten minutes newer.
local function turn_minute(tx, counts, minute)
  local past, enqueued, leased = counts.minute, counts.minute_enqueued, counts.minute_leased
  counts.minute, counts.minute_enqueued, counts.minute_leased = minute, 0, 0
  if enqueued + leased == 0 then return end
  local fields = {counters.PAST_PREFIX .. tx.type, pack_bytes(counters.PAST, past, enqueued, leased)}
  tx.past_minute = fields
  local field = ':m' .. past % 10
  local raw = call('HGET', tx.keys[KEY.counters], field)
  if raw then
    local stored, others_enqueued, others_leased = unpack_bytes(counters.MINUTE, raw)
    if stored > past and stored < minute + 10 then return end
    if stored == past then enqueued, leased = enqueued + others_enqueued, leased + others_leased end
  end
  fields[3], fields[4] = field, pack_bytes(counters.MINUTE, past, enqueued, leased)
end

-- Read the settings of a type that has some, unless new_counts did.
local function open_settings(tx, counts)
  if counts.is_known and counters.has_settings(counts) then
    local raw = call('HGET', tx.keys[KEY.counters], type_settings.field(tx.type))
    if raw then type_settings.open(tx, raw) end
  end
  local settings = tx.settings
  if settings then
    settings.was_full = type_settings.is_full(settings, counts.leased)
    quotas.open(tx, settings, counts.lease)
  end
end

-- Set the time of a call that only reads, and read the settings of its type and the counts. Returns these, or nil.
function counters.see(tx)
  local key = tx.keys[KEY.counters]
  local values = key and call('HMGET', key, tx.type, clock.FIELD, type_settings.field(tx.type)) or {}
  clock.see(tx, values[2])
  if values[3] then type_settings.open(tx, values[3]) end
  local counts = values[1] and counters.unpack(values[1]) or nil
  tx.counters = counts
  if tx.settings then quotas.open(tx, tx.settings, counts and counts.lease or 0) end
  return counts
end

-- Read the counts, and set the time of the call. Returns false, and leaves the call as it was, if the call must not run
-- any more. not_after, runs_late: see clock.set.
function counters.open(tx, not_after, runs_late)
  local key, store_time = tx.keys[KEY.counters], tx.now
  local raw
  if clock.is_set(tx, not_after) then
    raw = call('HGET', key, tx.type)
  else
    local values = call('HMGET', key, tx.type, clock.FIELD)
    raw = values[1]
    if not clock.set(tx, values[2], not_after, runs_late) then return false end
  end
  local counts = not raw and new_counts(tx) or tx.counters and unpack_over(tx.counters, raw) or counters.unpack(raw)
  local minute = (store_time - store_time % counters.MINUTE_US) / counters.MINUTE_US
  tx.counters = counts
  if counts.newer then open_settings(tx, counts) end
  if counts.minute ~= minute then turn_minute(tx, counts, minute) end
  return true
end

-- Return true if the type has all the leases that it may have.
function counters.is_full(tx)
  local settings = tx.settings
  return settings and type_settings.is_full(settings, tx.counters.leased)
end

-- Return true if the type is blocked until something happens: a resume, or the end of a lease.
function counters.is_stopped(tx)
  local settings = tx.settings
  return tx.is_all_paused or settings and settings.is_paused or counters.is_full(tx)
end

-- Return how many jobs the type may lease at once, at most `count`.
function counters.leases_allowed(tx, count)
  if tx.is_all_paused then return 0 end
  local settings = tx.settings
  return settings and type_settings.leases_allowed(settings, tx.counters.leased, tx.now, count) or count
end

-- Return when the type allows a lease (µs), 0 if it does now, or -1 if that is not known because it is stopped.
function counters.allowed_at(tx)
  if not tx.is_limited then return 0 end
  if counters.is_stopped(tx) then return -1 end
  local at = tx.settings and type_settings.look_at(tx.settings, tx.now) or 0
  return at > tx.now and clock.shown(tx, at) or 0
end

-- Let nodes read a stopped type with parked queues again once it goes on, because they do not know when these are due.
function counters.watch_parked(tx)
  if not tx.is_limited or not counters.is_stopped(tx) then return end
  local counts, _, parked = tx.counters, counters.parking(tx.counters)
  if parked > 0 and not (counts.ready_at and counts.ready_at < tx.now) then counts.ready_at = tx.now end
end

-- Return the earliest ready time that the call set in a type with settings, or false. ready: that of its queues. If the
-- call ended what blocked the type, all of its queues are due anew. A call without the key of these, which may be the
-- first one in a new period of a quota, has the type looked at once more.
function counters.ready_under_limits(tx, ready)
  local settings, key = tx.settings, tx.keys[KEY.ready]
  if settings.is_earlier or settings.was_full and not counters.is_full(tx) then
    local head = tx.now
    if key then head = tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) end
    if head and not (ready and ready < head) then ready = head end
    local _, parked = counters.parking(tx.counters)
    if parked > 0 then ready = tx.now end
  end
  return ready and math.max(ready, type_settings.look_at(settings, tx.now))
end

local function write_past_minute(tx)
  local fields = tx.past_minute
  if fields then
    call('HSET', tx.keys[KEY.counters], unpack(fields))
    tx.past_minute = nil
  end
end

-- Drop the record if the type has no job, dead letter, queue or timer. Its newest numbers and its latest minute are
-- kept together with those of other types.
function counters.drop_blank(tx)
  local counts = tx.counters
  if not counts.is_known or counts.queued + counts.delayed + counts.leased + counts.dead > 0 or counts.timer_at
    or call('HLEN', tx.keys[KEY.queues]) > 0 then return end
  local seq, lease = last_numbers(tx, call('HGET', tx.keys[KEY.counters], ':last'))
  turn_minute(tx, counts, counts.minute)
  write_past_minute(tx)
  call('HSET', tx.keys[KEY.counters], ':last',
    pack_bytes(counters.LAST, math.max(seq, counts.seq), math.max(lease, counts.lease)))
  call('HDEL', tx.keys[KEY.counters], tx.type, counters.PAST_PREFIX .. tx.type)
  -- Without jobs and dead letters no record names the number of a batch, so the numbers may begin again.
  if counters.has_batches(counts) then call('HDEL', notes.key(tx), ':n') end
end

-- Count dead letters that were dropped.
function counters.cancel_dead(tx, count)
  local counts = tx.counters
  counts.dead, counts.cancelled = counts.dead - count, counts.cancelled + count
end

-- Write a field, and the clock record together with it if the call changed it.
local function write_record(tx, key, field, value)
  if tx.tick then
    call('HSET', key, field, value, clock.FIELD, tx.tick)
    tx.tick = nil
  else
    call('HSET', key, field, value)
  end
end

-- Write the settings that the call changed.
local function write_settings(tx, key, settings)
  local is_blank = type_settings.is_blank(settings, tx.now)
  flag_settings(tx.counters, not is_blank)
  if is_blank then
    call('HDEL', key, type_settings.field(tx.type))
  else
    call('HSET', key, type_settings.field(tx.type), type_settings.pack(settings))
    if not tx.has_settings then clock.write(tx, clock.SETTINGS, true) end
  end
  settings.is_changed = false
end

-- Write the counts even if nothing changed, so that a WAIT after the call covers what the call read. For a dropped type
-- the last numbers are written instead. A call about a type that never existed creates nothing, unless it holds a
-- queue or the type has settings: the end of a hold needs the partition's time.
function counters.close(tx)
  local counts, key, settings = tx.counters, tx.keys[KEY.counters], tx.settings
  write_past_minute(tx)
  if tx.has_windows then flag_windows(counts) end
  if settings and settings.is_changed then write_settings(tx, key, settings) end
  if counts.is_known or counts.enqueued > 0 or counts.timer_at or tx.is_held then
    write_record(tx, key, tx.type, pack(counts))
  elseif tx.last then
    write_record(tx, key, ':last', tx.last)
  elseif settings then
    clock.write(tx)
  end
end
