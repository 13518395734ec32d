-- The part of a queue's record that only few queues have: the limits beside its rate, its hold, and what of all that an
-- operator set. Other records do not have these bytes, and other queues have none of the fields in memory.
--
-- queue.settings     flags: the fields that an operator set, so that an enqueue does not change them and the record is
--                    kept. nil: the queue has no such part
-- queue.max_leased   the most leases at one time; nil: no limit
-- queue.held_until   nothing is leased before this time (µs); nil: no hold. A lease after it removes it
-- queue.hundredths   of the burst; queue.burst is its whole part, so that older functions err to fewer. nil: none
-- queue.weight       jobs that the queue gives in its turn under the limits of its type; nil: 1
-- queue.given        jobs that it gave in the present turn; nil: none
--
-- The bytes after these are the defaults of its jobs' lives (queue_life.lua).
--
-- Uses: shortcuts, queue_caps, queue_windows, queue_life

local queue_limits = {
  -- settings, max_leased (0: no limit), held until (0: no hold), hundredths of the burst, weight (0: 1), given; then
  -- those of queue_life.lua
  FORMAT = '>BI4I7BBB',
  INTERVAL = 1, MAX_LEASED = 2, WEIGHT = 4, BURST = 8,  -- flags of settings
  NO_INTERVAL = 16,               -- flag beside them: only settings made the queue, and it has no interval yet
  CAPS = 32,                      -- another flag of settings
  LONGEST_HOLD_US = 86400000000,  -- for holds until a time that a caller names
  MINUTE_LENGTH = 12,
}

-- The bytes before the windows (queue_windows.lua), and those before the caps (queue_caps.lua), of a queue that has
-- nothing else of all this. They are neither packed nor unpacked, which saves a twentieth of the price of a lease.
queue_limits.BLANK = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' .. queue_life.NONE
queue_limits.BLANK_LENGTH = #queue_limits.BLANK
queue_limits.CAPS_ONLY = queue_limits.BLANK .. queue_windows.NONE

-- Give a queue this part. The bytes after its older minutes are those of a newer version.
function queue_limits.extend(queue)
  if queue.settings then return end
  local older = queue.older
  local last = 1 + string.byte(older) * queue_limits.MINUTE_LENGTH
  queue.settings, queue.newer_limits, queue.is_flagged = 0, sub(older, last + 1), true
  queue.older = sub(older, 1, last)
end

-- Read this part of a record. ahead: how far the partition's time was taken back since (µs; 0: it was not).
function queue_limits.unpack(queue, ahead)
  local raw = queue.older
  local first = 2 + string.byte(raw) * queue_limits.MINUTE_LENGTH
  local windows_at = first + queue_limits.BLANK_LENGTH
  if sub(raw, first, windows_at - 1) == queue_limits.BLANK then
    queue.settings, queue.newer_limits, queue.is_flagged, queue.older = 0, '', true, sub(raw, 1, first - 1)
    if windows_at <= #raw then queue_windows.unpack(queue, raw, windows_at) end
    return
  end
  local settings, max_leased, held_until, hundredths, weight, given, at =
    unpack_bytes(queue_limits.FORMAT, raw, first)
  queue.settings, queue.newer_limits, queue.is_flagged = settings, '', true
  queue.older = sub(raw, 1, first - 1)
  if at <= #raw then queue_life.unpack(queue, raw, at) end
  if max_leased > 0 then queue.max_leased = max_leased end
  if hundredths > 0 then queue.hundredths = hundredths end
  if weight > 0 then queue.weight = weight end
  if given > 0 then queue.given = given end
  if held_until > 0 then
    queue.held_until = held_until > ahead and held_until - ahead or 1
  end
end

-- Return this part of a record, or '' if it says nothing.
function queue_limits.pack(queue)
  if not queue.settings then return '' end
  local is_blank = queue.settings == 0 and not queue.max_leased and not queue.held_until and not queue.hundredths
    and not queue.weight and not queue.given
  if is_blank and not queue_life.is_known(queue) then
    if queue.cap_set and not queue_windows.is_known(queue) then
      return queue_limits.CAPS_ONLY .. queue_caps.pack(queue)
    end
    local tail = queue_windows.pack(queue)
    return tail ~= '' and queue_limits.BLANK .. tail or ''
  end
  local life = queue_life.pack(queue)
  return pack_bytes(queue_limits.FORMAT, queue.settings, queue.max_leased or 0, queue.held_until or 0,
    queue.hundredths or 0, queue.weight or 0, queue.given or 0) .. life
end

-- Return true if settings have a flag.
function queue_limits.has(queue, flag)
  local settings = queue.settings
  return settings and settings % (2 * flag) >= flag
end

-- Set or clear a flag of settings.
function queue_limits.mark(queue, flag, is_set)
  queue_limits.extend(queue)
  if is_set and not queue_limits.has(queue, flag) then
    queue.settings = queue.settings + flag
  elseif not is_set and queue_limits.has(queue, flag) then
    queue.settings = queue.settings - flag
  end
end

-- Return the flags of what an operator set.
function queue_limits.set_flags(queue)
  local settings = queue.settings or 0
  return settings % (2 * queue_limits.NO_INTERVAL) < queue_limits.NO_INTERVAL and settings
    or settings - queue_limits.NO_INTERVAL
end

-- Return true if an operator set something, so that the record is kept.
function queue_limits.is_set(queue)
  return queue.settings and (queue_limits.set_flags(queue) > 0 or queue_life.is_set(queue))
end

-- Return a burst as its whole part and its hundredths (nil: none).
function queue_limits.split_burst(burst)
  local whole = math.floor(burst)
  local hundredths = math.floor((burst - whole) * 100 + 0.5)
  return whole, hundredths > 0 and hundredths or nil
end

-- Set the hundredths of the burst (nil: none). Do not call it if there are none before and after: Lua makes room even
-- for a field that is set to nil.
function queue_limits.set_hundredths(queue, hundredths)
  queue_limits.extend(queue)
  queue.hundredths = hundredths
end

-- Return how far a lease may come after its slot without the next slot moving (µs): (burst - 1) * interval.
function queue_limits.slack(queue)
  local interval, hundredths = queue.interval, queue.hundredths
  local slack = (queue.burst - 1) * interval
  return hundredths and slack + math.floor(hundredths * interval / 100) or slack
end

-- Return when the queue may next be leased from, as far as its rate and its hold say.
function queue_limits.ready_at(queue)
  local tat, held_until = queue.tat, queue.held_until
  return held_until and held_until > tat and held_until or tat
end

-- Return true if the queue has all the leases that it may have. Such a queue is not in ready.
function queue_limits.is_full(queue)
  local max_leased = queue.max_leased
  return max_leased and queue.leased >= max_leased
end

-- Lease nothing before a time (µs). A hold only grows.
function queue_limits.hold(queue, at)
  queue_limits.extend(queue)
  local held_until = queue.held_until
  if not held_until or held_until < at then queue.held_until = at end
end
