-- The record of one queue, and its rate: a leaky bucket kept as the time of the next lease (GCRA's theoretical arrival
-- time, ITU-T I.371).
--
-- queues:<type>  queue_id -> header, counts of up to 10 minutes (minute, enqueued, leased), bytes of a newer version
--
-- In a call's memory what is seldom is nil: flags, newer bytes. So a queue with all that a call notes about it has 16
-- fields at most: Lua doubles a table at the 17th, and one of 32 is above what the allocator keeps at hand (5 % of a
-- call).

local queue_record = {
  PINNED = 1, PAUSED = 2, PURGED = 4, UNSWEPT = 8,
  KEEP_US = 600000000,             -- an idle queue is remembered so long
  LATEST_US = 9007199254740992,    -- numbers are exact up to here
  FORMAT = '>BBI6I4I7I7I7I4I4I4I7B', -- format, flags, interval, burst, tat, last, active, queued, delayed, leased,
  LENGTH = 53,                     -- fence, minutes
  MINUTE = '>I4I4I4',
  MINUTE_LENGTH = 12,
}

function queue_record.new(queue_id)
  return {queue_id = queue_id, interval = 0, burst = 1, tat = 0, last = 0, active = 0, queued = 0, delayed = 0,
    leased = 0, fence = 0, minutes = ''}
end

local function unpack_flags(queue, flags)
  queue.is_pinned, queue.is_paused = flags % 2 >= 1, flags % 4 >= 2
  queue.is_purged, queue.is_unswept = flags % 8 >= 4, flags % 16 >= 8
  queue.newer_flags = flags - flags % 16
end

local function pack_flags(queue)
  local flags = queue.newer_flags or 0
  if queue.is_pinned then flags = flags + queue_record.PINNED end
  if queue.is_paused then flags = flags + queue_record.PAUSED end
  if queue.is_purged then flags = flags + queue_record.PURGED end
  if queue.is_unswept then flags = flags + queue_record.UNSWEPT end
  return flags
end

function queue_record.unpack(queue_id, raw)
  local _, flags, interval, burst, tat, last, active, queued, delayed, leased, fence, count =
    struct.unpack(queue_record.FORMAT, raw)
  local minutes_end = queue_record.LENGTH + count * queue_record.MINUTE_LENGTH
  local queue = {queue_id = queue_id, interval = interval, burst = burst, tat = tat, last = last, active = active,
    queued = queued, delayed = delayed, leased = leased, fence = fence,
    minutes = string.sub(raw, queue_record.LENGTH + 1, minutes_end)}
  if flags > 0 then unpack_flags(queue, flags) end
  if #raw > minutes_end then queue.newer = string.sub(raw, minutes_end + 1) end
  return queue
end

-- The bytes of the counts without those of one minute and of minutes that are ten minutes old.
local function other_minutes(minutes, minute)
  local kept, length = '', queue_record.MINUTE_LENGTH
  for at = 1, #minutes, length do
    local other = struct.unpack('>I4', minutes, at)
    if other ~= minute and other > minute - 10 then kept = kept .. string.sub(minutes, at, at + length - 1) end
  end
  return #kept < 10 * length and kept or string.sub(kept, length + 1)
end

-- The counts of one minute: enqueued, leased.
local function counts_of(minutes, minute)
  for at = #minutes - queue_record.MINUTE_LENGTH + 1, 1, -queue_record.MINUTE_LENGTH do
    local other, enqueued, leased = struct.unpack(queue_record.MINUTE, minutes, at)
    if other == minute then return enqueued, leased end
  end
  return 0, 0
end

-- The bytes of the other minutes' counts, and the counts of this one: it stands last, or nowhere, or (when the clock
-- stepped back) anywhere.
local function split(minutes, minute)
  local last_at = #minutes - queue_record.MINUTE_LENGTH + 1
  if last_at > 0 then
    local last, enqueued, leased = struct.unpack(queue_record.MINUTE, minutes, last_at)
    if last == minute then return string.sub(minutes, 1, last_at - 1), enqueued, leased end
  end
  return other_minutes(minutes, minute), counts_of(minutes, minute)
end

-- Adds the jobs that the call enqueued or leased to the counts of its minute, which stand last from then on.
local function count(queue, minute)
  local others, enqueued, leased = split(queue.minutes, minute)
  queue.minutes = others
    .. struct.pack(queue_record.MINUTE, minute, enqueued + (queue.enqueued_now or 0), leased + (queue.leased_now or 0))
end

-- minute: of the call, since the epoch.
function queue_record.pack(queue, minute)
  if queue.enqueued_now or queue.leased_now then count(queue, minute) end
  return struct.pack(queue_record.FORMAT, 1, pack_flags(queue), queue.interval, queue.burst, queue.tat, queue.last,
    queue.active, queue.queued, queue.delayed, queue.leased, queue.fence,
    #queue.minutes / queue_record.MINUTE_LENGTH) .. queue.minutes .. (queue.newer or '')
end

-- The record holds all that the call changed. What is nil stays untouched: Lua makes room even for a nil.
function queue_record.settle(queue, is_ready)
  queue.was_ready, queue.is_changed = is_ready, nil
  if queue.is_moved then queue.is_moved = nil end
  if queue.enqueued_now then queue.enqueued_now = nil end
  if queue.leased_now then queue.leased_now = nil end
end

-- A clock that stepped back must not hold a queue longer than one interval after its last lease.
function queue_record.heal(queue, now)
  local latest = (now > queue.last and now or queue.last) + queue.interval
  if queue.tat > latest then queue.tat = latest end
end

-- Nothing of it is queued, delayed, leased or still to be swept, and no operator holds it.
function queue_record.is_idle(queue)
  return queue.queued + queue.delayed + queue.leased == 0
    and not queue.is_pinned and not queue.is_paused and not queue.is_unswept
end

-- From when on the whole burst may go at once, as from a new record; burst 1: the ready time.
function queue_record.full_at(queue)
  return math.min(queue.tat + (queue.burst - 1) * queue.interval, queue_record.LATEST_US)
end

-- The one rule of forgetting. Every function applies it on reading, so when the reaper drops the record is not visible.
function queue_record.is_forgettable(queue, now)
  return queue_record.is_idle(queue) and now >= queue_record.full_at(queue)
    and (queue.is_purged or now - queue.active > queue_record.KEEP_US)
end

-- When the reaper should look at an idle queue.
function queue_record.forget_at(queue)
  if queue.is_purged then return queue_record.full_at(queue) end
  return math.max(queue_record.full_at(queue), queue.active + queue_record.KEEP_US + 1)
end

function queue_record.lease(queue, now)
  queue.tat = math.max(queue.tat, now - (queue.burst - 1) * queue.interval) + queue.interval
  queue.last = now
end

-- How many leases the rate allows at once.
function queue_record.turns(queue, now)
  if now < queue.tat then return 0 end
  if queue.interval == 0 then return math.huge end
  local from = math.max(queue.tat, now - (queue.burst - 1) * queue.interval)
  return math.floor((now - from) / queue.interval) + 1
end

-- A new rate moves the waiting slot at once, and never closer to the last lease than the new interval allows.
function queue_record.change_rate(queue, interval, burst)
  local moved = queue.tat - queue.interval + interval
  local earliest = queue.last + interval - (burst - 1) * interval
  queue.tat = math.max(moved, earliest, 0)
  queue.interval = interval
  queue.burst = burst
end
