-- The record of one queue, and its rate: a leaky bucket kept as the time of the next lease (GCRA's theoretical arrival
-- time, ITU-T I.371).
--
-- queues:<type>  queue_id -> header, how many older minutes follow, those (minute, enqueued, leased), bytes of a newer
--                version
--
-- In a call's memory what is seldom is nil: fence, flags. So a queue with all that a call notes about it has 16 fields
-- at most: Lua doubles a table at the 17th, and one of 32 is above what the allocator keeps at hand.
--
-- A call notes of a queue: is_changed; and place, its place in ready: false for none, true for the one it has, or the
-- time since which it is ready when it is to get another.

local queue_record = {
  PINNED = 1, PAUSED = 2, PURGED = 4, UNSWEPT = 8,
  KEEP_US = 600000000,             -- an idle queue is remembered so long
  AHEAD_US = 5000000,
  LATEST_US = 9007199254740992,    -- numbers are exact up to here
  FORMAT = '>BBI6I4I7I7I7I7I4I4I4I7I4I4I4', -- format, flags, interval, burst, tat, last, active, timer, queued,
  MINUTE = '>I4I4I4',              -- delayed, leased, fence, the latest minute and what was enqueued and leased in it
  MINUTE_LENGTH = 12,
  OLDER = 9,                       -- minutes kept beside the latest
}

-- timer: a timer stands at this time or earlier, to look whether the queue may be forgotten; 0: none does.
-- older: the older minutes' bytes behind their number, and those of a newer version.
function queue_record.new(queue_id)
  return {queue_id = queue_id, interval = 0, burst = 1, tat = 0, last = 0, active = 0, timer = 0, queued = 0,
    delayed = 0, leased = 0, minute = 0, enqueued = 0, given = 0, older = '\0', place = false}
end

local function unpack_flags(queue, flags)
  queue.is_pinned, queue.is_paused = flags % 2 >= 1, flags % 4 >= 2
  queue.is_purged, queue.is_unswept = flags % 8 >= 4, flags % 16 >= 8
  queue.newer_flags, queue.is_flagged = flags - flags % 16, true
  if queue.is_paused then queue.place = false end
end

local function pack_flags(queue)
  local flags = queue.newer_flags or 0
  if queue.is_pinned then flags = flags + queue_record.PINNED end
  if queue.is_paused then flags = flags + queue_record.PAUSED end
  if queue.is_purged then flags = flags + queue_record.PURGED end
  if queue.is_unswept then flags = flags + queue_record.UNSWEPT end
  return flags
end

-- Sets is_pinned, is_paused, is_purged or is_unswept.
function queue_record.flag(queue, name, is_set)
  queue[name], queue.is_flagged = is_set, true
end

-- The queue of a record, or false when it counts as forgotten. A last lease that lies ahead was of a time that was taken
-- back (clock.lua), or of a version that knew no time of its own: the queue goes on as if it had been now.
function queue_record.unpack(queue_id, raw, now)
  local _, flags, interval, burst, tat, last, active, timer, queued, delayed, leased, fence, minute, enqueued, given,
    at = unpack_bytes(queue_record.FORMAT, raw)
  local is_ahead = last > now and last > now + queue_record.AHEAD_US
  if is_ahead then tat, last = now + (tat > last and tat - last or 0), now end
  local queue = {queue_id = queue_id, interval = interval, burst = burst, tat = tat, last = last, active = active,
    timer = timer, queued = queued, delayed = delayed, leased = leased, minute = minute, enqueued = enqueued,
    given = given, older = sub(raw, at), place = queued > 0}
  if is_ahead then
    queue.is_changed = true
    if queue.place then queue.place = now end
  end
  if fence > 0 then queue.fence = fence end
  if flags > 0 then unpack_flags(queue, flags) end
  local may_go = queued == 0 and leased == 0 and (now - active > queue_record.KEEP_US or flags > 0)
  if may_go and queue_record.is_forgettable(queue, now) then return false end
  return queue
end

function queue_record.pack(queue)
  local flags = queue.is_flagged and pack_flags(queue) or 0
  return pack_bytes(queue_record.FORMAT, 1, flags, queue.interval, queue.burst, queue.tat, queue.last, queue.active,
    queue.timer, queue.queued, queue.delayed, queue.leased, queue.fence or 0, queue.minute, queue.enqueued, queue.given)
    .. queue.older
end

-- The rows of minutes that had any: {minute, enqueued, leased} each, the latest last.
function queue_record.minutes(queue)
  local rows = {}
  for at = 2, string.byte(queue.older) * queue_record.MINUTE_LENGTH, queue_record.MINUTE_LENGTH do
    local minute, enqueued, leased = unpack_bytes(queue_record.MINUTE, queue.older, at)
    rows[#rows + 1] = {minute, enqueued, leased}
  end
  if queue.enqueued + queue.given > 0 then rows[#rows + 1] = {queue.minute, queue.enqueued, queue.given} end
  return rows
end

-- Puts the latest minute's counts behind the older ones, the first of which goes when it is ten minutes old.
local function keep_latest(queue, minute)
  local older, count, first = queue.older, string.byte(queue.older), 2
  local past = first + count * queue_record.MINUTE_LENGTH
  if count == queue_record.OLDER or count > 0 and unpack_bytes('>I4', older, first) <= minute - 10 then
    first, count = first + queue_record.MINUTE_LENGTH, count - 1
  end
  queue.older = string.char(count + 1) .. sub(older, first, past - 1)
    .. pack_bytes(queue_record.MINUTE, queue.minute, queue.enqueued, queue.given) .. sub(older, past)
end

-- Takes what was counted in a minute out of the older ones. Returns both counts.
local function take_minute(queue, minute)
  local older, count = queue.older, string.byte(queue.older)
  for at = 2, count * queue_record.MINUTE_LENGTH, queue_record.MINUTE_LENGTH do
    local other, enqueued, leased = unpack_bytes(queue_record.MINUTE, older, at)
    if other == minute then
      queue.older = string.char(count - 1) .. sub(older, 2, at - 1)
        .. sub(older, at + queue_record.MINUTE_LENGTH)
      return enqueued, leased
    end
  end
  return 0, 0
end

-- Counts another minute from now on. When the clock had stepped back, that one may have counts among the older.
function queue_record.turn_minute(queue, minute)
  local latest, enqueued, given = queue.minute, 0, 0
  if string.find(queue.older, pack_bytes('>I4', minute), 2, true) then
    enqueued, given = take_minute(queue, minute)
  end
  if queue.enqueued + queue.given > 0 and latest > minute - 10 then keep_latest(queue, minute) end
  queue.minute, queue.enqueued, queue.given = minute, enqueued, given
end

-- Nothing of it is queued, delayed, leased or still to be swept, and no operator holds it.
function queue_record.is_idle(queue)
  return queue.leased == 0 and queue.queued == 0 and queue.delayed == 0
    and not queue.is_pinned and not queue.is_paused and not queue.is_unswept
end

-- From when on the whole burst may go at once, as from a new record; burst 1: the ready time.
function queue_record.full_at(queue)
  return math.min(queue.tat + (queue.burst - 1) * queue.interval, queue_record.LATEST_US)
end

-- The one rule of forgetting. Every function applies it on reading, so when the reaper drops the record is not visible.
function queue_record.is_forgettable(queue, now)
  return (now - queue.active > queue_record.KEEP_US or queue.is_purged) and queue_record.is_idle(queue)
    and now >= queue_record.full_at(queue)
end

-- When the reaper should look at an idle queue.
function queue_record.forget_at(queue)
  local kept_until = queue.is_purged and 1 or queue.active + queue_record.KEEP_US + 1
  return math.max(queue_record.full_at(queue), kept_until)
end

-- Uses one turn of the rate at now, and counts it.
function queue_record.lease(queue, now, minute)
  local interval, tat = queue.interval, queue.tat
  local earliest = now - (queue.burst - 1) * interval
  queue.tat = (tat > earliest and tat or earliest) + interval
  queue.last = now
  if queue.minute ~= minute then queue_record.turn_minute(queue, minute) end
  queue.given = queue.given + 1
end

-- How many leases the rate allows at once, at most `limit`.
function queue_record.turns(queue, now, limit)
  local interval, tat = queue.interval, queue.tat
  if now < tat then return 0 end
  if interval == 0 then return limit end
  local earliest = now - (queue.burst - 1) * interval
  return math.min(math.floor((now - (tat > earliest and tat or earliest)) / interval) + 1, limit)
end

-- A new rate moves the waiting slot at once, and never closer to the last lease than the new interval allows.
function queue_record.change_rate(queue, interval, burst)
  local moved = queue.tat - queue.interval + interval
  local earliest = queue.last + interval - (burst - 1) * interval
  queue.tat = math.max(moved, earliest, 0)
  queue.interval = interval
  queue.burst = burst
end
