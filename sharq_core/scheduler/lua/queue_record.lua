-- The record of a queue and the arithmetic of its rate. The rate is a leaky bucket, stored as the time of the next
-- lease: the theoretical arrival time (TAT) of the GCRA in ITU-T I.371.
--
-- queues:<type>  queue_id -> header, number of older minutes, those (minute, enqueued, leased), the limits of a queue
--                that has the flag LIMITED (queue_limits.lua), bytes of a newer version
--
-- Rarely used fields (fence, flags) are nil in memory. A queue then has at most 16 fields in a call. Lua doubles the
-- table at the 17th, and a table of 32 is larger than what the allocator keeps at hand.
--
-- A call adds two notes to a queue:
--   is_changed   The record must be written.
--   ready_score  The queue's entry in ready:<type>. NOT_READY: it has none. UNMOVED: it keeps the one in the store. A
--                number: it gets a new entry, with the time since which it is ready. One field holds the three cases,
--                because two fields would be the 17th.
--
-- Uses: shortcuts, queue_limits

local NOT_READY, UNMOVED = false, true -- values of ready_score, for all files

local queue_record = {
  PINNED = 1, PAUSED = 2, PURGED = 4, UNSWEPT = 8, LIMITED = 16,
  KEEP_US = 600000000,             -- an idle queue is remembered for this long
  AHEAD_US = 5000000,              -- a last lease further in the future than this is not believed
  LATEST_US = 9007199254740992,    -- numbers are exact up to here
  -- format, flags, interval, burst, tat, last, active, timer, queued, delayed, leased, fence, the latest minute, jobs
  -- enqueued in it, jobs leased in it; then the number of older minutes, or all that follows
  READ = '>BBI6I4I7I7I7I7I4I4I4I7I4I4I4B',
  WRITTEN = '>BBI6I4I7I7I7I7I4I4I4I7I4I4I4c0',
  MINUTE = '>I4I4I4',              -- minute, enqueued, leased
  MINUTE_LENGTH = queue_limits.MINUTE_LENGTH,
  OLDER = 9,                       -- minutes kept besides the latest
}

-- The values that each queue needs, as locals: to read a field of a table costs six times as much.
local READ, WRITTEN = queue_record.READ, queue_record.WRITTEN
local KEEP_US, AHEAD_US = queue_record.KEEP_US, queue_record.AHEAD_US

-- Return a new queue.
-- timer: an idle timer stands at this time (µs) or earlier; 0: none. older: the number of older minutes, their bytes,
-- and those of a newer version.
function queue_record.new(queue_id)
  return {queue_id = queue_id, interval = 0, burst = 1, tat = 0, last = 0, active = 0, timer = 0, queued = 0,
    delayed = 0, leased = 0, minute = 0, minute_enqueued = 0, minute_leased = 0, older = '\0', ready_score = NOT_READY}
end

-- Set the queue's fields for its flags. Flags of a newer version are kept. ahead: see queue_limits.unpack.
local function unpack_flags(queue, flags, ahead)
  queue.is_pinned, queue.is_paused = flags % 2 >= 1, flags % 4 >= 2
  queue.is_purged, queue.is_unswept = flags % 8 >= 4, flags % 16 >= 8
  queue.newer_flags, queue.is_flagged = flags - flags % 32, true
  if flags % 32 >= queue_record.LIMITED then queue_limits.unpack(queue, ahead) end
  if queue.is_paused or queue_limits.is_full(queue) then queue.ready_score = NOT_READY end
end

-- Return the queue's flags, and its limits.
local function pack_flags(queue)
  local flags, limits = queue.newer_flags or 0, queue_limits.pack(queue)
  if limits ~= '' then flags = flags + queue_record.LIMITED end
  if queue.is_pinned then flags = flags + queue_record.PINNED end
  if queue.is_paused then flags = flags + queue_record.PAUSED end
  if queue.is_purged then flags = flags + queue_record.PURGED end
  if queue.is_unswept then flags = flags + queue_record.UNSWEPT end
  return flags, limits
end

-- Set is_pinned, is_paused, is_purged or is_unswept.
function queue_record.flag(queue, name, is_set)
  queue[name], queue.is_flagged = is_set, true
end

-- Return the queue of a record, or false and its cap set (nil: none) if it counts as forgotten. A last lease in the
-- future belongs to a time that was taken back (clock.lua), or to a version without partition time. The queue then
-- continues as if that lease had been now.
function queue_record.unpack(queue_id, raw, now)
  local _, flags, interval, burst, tat, last, active, timer, queued, delayed, leased, fence, minute, minute_enqueued,
    minute_leased, older, behind = unpack_bytes(READ, raw)
  local is_ahead, stored_last = last > now and last > now + AHEAD_US, last
  if is_ahead then tat, last = now + (tat > last and tat - last or 0), now end
  local queue = {queue_id = queue_id, interval = interval, burst = burst, tat = tat, last = last, active = active,
    timer = timer, queued = queued, delayed = delayed, leased = leased, minute = minute,
    minute_enqueued = minute_enqueued, minute_leased = minute_leased,
    older = older == 0 and behind > #raw and '\0' or sub(raw, behind - 1), ready_score = queued > 0 and UNMOVED}
  if is_ahead then
    queue.is_changed = true
    if queue.ready_score then queue.ready_score = now end
  end
  if fence > 0 then queue.fence = fence end
  if flags > 0 then unpack_flags(queue, flags, stored_last - last) end
  local may_go = queued == 0 and leased == 0 and (now - active > KEEP_US or flags > 0)
  if may_go and queue_record.is_forgettable(queue, now) then return false, queue.cap_set end
  return queue
end

function queue_record.pack(queue)
  local flags, tail = 0, queue.older
  if queue.is_flagged then
    local limits
    flags, limits = pack_flags(queue)
    tail = tail .. limits
  end
  return pack_bytes(WRITTEN, 1, flags, queue.interval, queue.burst, queue.tat, queue.last, queue.active,
    queue.timer, queue.queued, queue.delayed, queue.leased, queue.fence or 0, queue.minute,
    queue.minute_enqueued, queue.minute_leased, tail)
end

-- Return the minutes with any counts as {minute, enqueued, leased}, the latest last.
function queue_record.minutes(queue)
  local rows = {}
  for at = 2, string.byte(queue.older) * queue_record.MINUTE_LENGTH, queue_record.MINUTE_LENGTH do
    local minute, enqueued, leased = unpack_bytes(queue_record.MINUTE, queue.older, at)
    rows[#rows + 1] = {minute, enqueued, leased}
  end
  if queue.minute_enqueued + queue.minute_leased > 0 then
    rows[#rows + 1] = {queue.minute, queue.minute_enqueued, queue.minute_leased}
  end
  return rows
end

-- Append the latest minute's counts to the older ones. The first of those goes when it is ten minutes old.
local function keep_latest(queue, minute)
  local older, count, first = queue.older, string.byte(queue.older), 2
  local past = first + count * queue_record.MINUTE_LENGTH
  if count == queue_record.OLDER or count > 0 and unpack_bytes('>I4', older, first) <= minute - 10 then
    first, count = first + queue_record.MINUTE_LENGTH, count - 1
  end
  queue.older = string.char(count + 1) .. sub(older, first, past - 1)
    .. pack_bytes(queue_record.MINUTE, queue.minute, queue.minute_enqueued, queue.minute_leased) .. sub(older, past)
end

-- Remove a minute's counts from the older ones. Returns enqueued and leased.
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

-- Start to count another minute. If the clock stepped back, the older minutes may have counts of that minute.
function queue_record.turn_minute(queue, minute)
  local latest, enqueued, leased = queue.minute, 0, 0
  if string.find(queue.older, pack_bytes('>I4', minute), 2, true) then
    enqueued, leased = take_minute(queue, minute)
  end
  if queue.minute_enqueued + queue.minute_leased > 0 and latest > minute - 10 then keep_latest(queue, minute) end
  queue.minute, queue.minute_enqueued, queue.minute_leased = minute, enqueued, leased
end

-- Return true if the queue has no job, is swept, and no operator pinned it, paused it or set a limit.
function queue_record.is_idle(queue)
  return queue.leased == 0 and queue.queued == 0 and queue.delayed == 0
    and not queue.is_pinned and not queue.is_paused and not queue.is_unswept
    and not (queue.settings and queue_limits.is_set(queue))
end

-- Return the time from which the whole burst may be leased at once, as with a new record. With burst 1: the ready time.
function queue_record.full_at(queue)
  local settings = queue.settings
  local slack = settings and queue_limits.slack(queue) or (queue.burst - 1) * queue.interval
  local full_at = math.min(queue.tat + slack, queue_record.LATEST_US)
  return settings and math.max(full_at, queue.held_until or 0) or full_at
end

-- Return true if the queue counts as forgotten. Every function applies this rule when it reads a record, so the moment
-- at which the reaper drops the record is not visible.
function queue_record.is_forgettable(queue, now)
  return (now - queue.active > queue_record.KEEP_US or queue.is_purged) and queue_record.is_idle(queue)
    and now >= queue_record.full_at(queue)
end

-- Return when the reaper should look at an idle queue.
function queue_record.forget_at(queue)
  local kept_until = queue.is_purged and 1 or queue.active + queue_record.KEEP_US + 1
  return math.max(queue_record.full_at(queue), kept_until)
end

-- Use `cost` slots of the rate at `now`, and count the lease. is_flagged: that of the queue.
function queue_record.lease(queue, now, minute, cost, is_flagged)
  local interval, tat = queue.interval, queue.tat
  local earliest = now - (queue.burst - 1) * interval
  if is_flagged then
    earliest = now - queue_limits.slack(queue)
    if queue.held_until then queue.held_until = nil end
  end
  if tat < earliest then tat = earliest end
  if cost == 1 then
    queue.tat = tat + interval
  else
    queue.tat = math.min(tat + cost * interval, queue_record.LATEST_US)
  end
  queue.last = now
  if queue.minute ~= minute then queue_record.turn_minute(queue, minute) end
  queue.minute_leased = queue.minute_leased + 1
end

-- Return how many leases of cost 1 the rate allows at once, at most `limit`.
function queue_record.leases_allowed(queue, now, limit)
  local interval, tat = queue.interval, queue.tat
  if now < tat then return 0 end
  if interval == 0 then return limit end
  local earliest = now - queue_limits.slack(queue)
  return math.min(math.floor((now - (tat > earliest and tat or earliest)) / interval) + 1, limit)
end

-- Set a rate. The ready time moves at once, but never closer to the last lease than the new interval allows. A lease
-- that took several slots has moved it further, and then that distance changes in proportion.
-- hundredths: those of the burst, nil for none.
function queue_record.change_rate(queue, interval, burst, hundredths)
  local tat, last, old_interval = queue.tat, queue.last, queue.interval
  local moved = tat - old_interval + interval
  if tat - last > old_interval and old_interval > 0 then
    moved = math.min(last + math.ceil((tat - last) * interval / old_interval), queue_record.LATEST_US)
  end
  queue.interval, queue.burst = interval, burst
  local slack = (burst - 1) * interval
  if hundredths or queue.hundredths then
    queue_limits.set_hundredths(queue, hundredths)
    slack = queue_limits.slack(queue)
  end
  queue.tat = math.max(moved, last + interval - slack, 0)
end

-- Correct the cost of a lease. What it took too much comes back, but the next lease still keeps its distance to the
-- last one. What it took too little delays the next leases.
function queue_record.correct(queue, cost, actual)
  local tat = queue.tat
  local moved = math.min(tat + (actual - cost) * queue.interval, queue_record.LATEST_US)
  queue.tat = math.max(moved, math.min(tat, queue.last + queue.interval))
end
