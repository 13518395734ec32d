-- The slots of a cap: when the next one is due, how it is reserved, and which ones came back (caps.lua).
--
-- A slot takes a place in each limit: the place is at most the slack of the burst before the time at which the slot is
-- due, and no two slots share one. So the slots of any time t are at most burst + t / interval, in whatever order they
-- are reserved.
--
-- cap.free has ranges of slots that came back or were skipped: {first time, distance, number, points of cost}, the
-- earliest first. Only slots that lie ahead are free. cap.returned has ranges of serials that came back, so that none
-- comes back twice: {first serial, number, time from which none of them can come back}.
--
-- Uses: queue_record, type_settings, caps

local cap_slots = {
  MOST_RANGES = 64,   -- of either kind; what has no room stays reserved
  MOST_SKIPPED = 100, -- slots of several limits that one reservation skips and leaves free
}

-- Return how much of a limit a slot takes (µs).
local function price(limit, units)
  return (limit.unit == type_settings.COST and units or 1) * limit.interval
end

-- Return the distance of the slots of a cap (µs).
function cap_slots.distance(cap, units)
  local longest = 0
  for _, limit in ipairs(cap.limits) do longest = math.max(longest, price(limit, units)) end
  return longest
end

-- Remove the ranges and parts of ranges that are past, and note if slots differ in what they take.
function cap_slots.trim(cap)
  cap.has_cost = false
  for _, limit in ipairs(cap.limits) do
    if limit.unit == type_settings.COST then cap.has_cost = true end
  end
  if #cap.free == 0 and #cap.returned == 0 then return end
  local now, free, returned = cap.now, {}, {}
  for _, range in ipairs(cap.free) do
    local first, step, count = range[1], range[2], range[3]
    local past = first > now and 0 or step > 0 and math.floor((now - first) / step) + 1 or count
    if past < count then free[#free + 1] = {first + past * step, step, count - past, range[4]} end
  end
  for _, range in ipairs(cap.returned) do
    if range[3] > now then returned[#returned + 1] = range end
  end
  table.sort(free, function(left, right) return left[1] < right[1] end)
  cap.free, cap.returned = free, returned
end

-- Add a range of free slots if there is room.
local function add_free(cap, first, step, count, units)
  if #cap.free < cap_slots.MOST_RANGES and count > 0 then
    cap.free[#cap.free + 1] = {first, step, count, units}
  end
end

-- Return the first free slot at or after a time that has enough points: its time, its range and how many slots of the
-- range are before it; nil if there is none.
local function first_free(cap, start, units)
  local at, range_index, skipped
  local free = cap.free
  for index = 1, #free do
    local range = free[index]
    local first, step, count = range[1], range[2], range[3]
    local before = start > first and (step > 0 and math.ceil((start - first) / step) or count) or 0
    if before < count and range[4] >= units and not (at and at <= first + before * step) then
      at, range_index, skipped = first + before * step, index, before
    end
  end
  return at, range_index, skipped
end

-- Take a slot out of a range of free ones.
local function take_free(cap, index, before)
  local range = cap.free[index]
  local first, step, count, units = range[1], range[2], range[3], range[4]
  local rest = count - before - 1
  if before > 0 then range[3] = before else table.remove(cap.free, index) end
  add_free(cap, first + (before + 1) * step, step, rest, units)
end

-- Return when the next new slot is due, at `start` at the earliest.
local function next_new(cap, start)
  local at, limits = start, cap.limits
  for index = 1, #limits do
    local tat = limits[index].tat
    if tat > at then at = tat end
  end
  return at
end

-- Take the place of a new slot that is due at a time.
local function take_place(cap, at, units)
  local limits = cap.limits
  for index = 1, #limits do
    local limit = limits[index]
    local place, earliest = limit.tat, at - limit.slack
    if place < earliest then place = earliest end
    limit.tat = math.min(place + price(limit, units), queue_record.LATEST_US)
  end
end

-- Return true if a slot that is due at a time may be left out for a later one at `start`: that one still finds room,
-- and would otherwise take away a place that others can use.
local function can_skip(cap, at, start, units)
  local is_lost = false
  for _, limit in ipairs(cap.limits) do
    if limit.interval > 0 then
      local tat = math.max(limit.tat, at - limit.slack) + price(limit, units)
      if tat > start then return false end
      if tat <= start - limit.slack then is_lost = true end
    end
  end
  return is_lost
end

-- Leave the places free that a slot at `start` skips, for others. The places of a burst that lie behind are lost.
local function skip(cap, start, units)
  local limit, now = cap.limits[1], cap.now
  if #cap.limits == 1 and limit.interval > 0 then
    local step, first = price(limit, units), math.max(limit.tat, now - limit.slack)
    local count = math.max(math.floor((start - limit.slack - first) / step), 0)
    local past = first > now and 0 or math.floor((now - first) / step) + 1
    add_free(cap, first + past * step, step, count - past, units)
    if count > 0 then limit.tat = first + count * step end
    return
  end
  for _ = 1, cap_slots.MOST_SKIPPED do
    local at = next_new(cap, now)
    if not can_skip(cap, at, start, units) then return end
    if at > now then add_free(cap, at, 0, 1, units) end
    take_place(cap, at, units)
  end
end

-- Return when the next slot is due, at `start` at the earliest, and how it can be reserved: the range of free slots and
-- the number before it, nil for a new slot. start: now, or the end of a time in which no slot may be due.
function cap_slots.next(cap, start, units)
  local new_at = next_new(cap, start)
  if #cap.free == 0 then return new_at end
  local at, index, before = first_free(cap, start, cap.has_cost and units or 0)
  if at and at < new_at then return at, index, before end
  return new_at
end

-- Reserve the slot that cap_slots.next returned. start: that of the call.
function cap_slots.reserve(cap, start, units, at, index, before)
  if index then
    take_free(cap, index, before)
  else
    -- During a hold nobody can use what lies before its end.
    if start > cap.now and cap.held_until <= cap.now then skip(cap, start, units) end
    take_place(cap, at, units)
    if at > cap.last then cap.last = at end
  end
  cap.serial, cap.reserved, cap.units = cap.serial + 1, cap.reserved + 1, units
end

-- Return true if the next slots are a run: new ones of a single limit, with no free ones between them.
function cap_slots.is_run(cap, start)
  return #cap.limits == 1 and #cap.free == 0 and (start <= cap.now or cap.held_until > cap.now)
end

-- Reserve a run of slots, as cap_slots.next and cap_slots.reserve would one by one, at a tenth of the price. Writes the
-- times at which they are due into `slots`, and returns the virtual time after them (cap_turns.lua).
-- max_count: number of slots. latest: no slot is due later. turn: virtual time; each slot adds `share` to it. Once that
-- is past turn_ends, no slot is due later than `near`.
function cap_slots.reserve_run(cap, start, units, max_count, latest, turn, share, turn_ends, near, slots)
  local limit, count, last = cap.limits[1], #slots, nil
  local tat, slack, step, full = limit.tat, limit.slack, price(limit, units), #slots + max_count
  while count < full do
    local at = tat > start and tat or start
    if at > latest or (turn > turn_ends and at > near) then break end
    local earliest = at - slack
    tat = (tat > earliest and tat or earliest) + step
    turn, last, count = turn + share, at, count + 1
    slots[count] = at
  end
  count = count - full + max_count
  limit.tat = math.min(tat, queue_record.LATEST_US)
  cap.serial, cap.reserved, cap.units = cap.serial + count, cap.reserved + count, units
  if last and last > cap.last then cap.last = last end
  return turn
end

-- Return true if a slot may come back: it is ahead, the serial is known, and it has not come back yet.
local function may_return(cap, due, serial)
  if due <= cap.now or due > cap.now + caps.horizon(cap) or serial <= cap.floor or serial > cap.serial then
    return false
  end
  for _, range in ipairs(cap.returned) do
    if serial >= range[1] and serial < range[1] + range[2] then return false end
  end
  return true
end

-- Note that a serial came back. Returns false if there is no room.
local function note_returned(cap, due, serial)
  local list = cap.returned
  local range = list[#list]
  if range and serial == range[1] + range[2] then
    range[2], range[3] = range[2] + 1, math.max(range[3], due)
    return true
  end
  if #list == cap_slots.MOST_RANGES then return false end
  list[#list + 1] = {serial, 1, due}
  return true
end

-- Make a slot free. One at the same distance as the range before it joins that range.
local function free_slot(cap, due, units)
  local range = cap.free[#cap.free]
  if range and range[4] == units and due > range[1] then
    if range[3] == 1 then
      range[2], range[3] = due - range[1], 2
      return
    elseif due == range[1] + range[2] * range[3] then
      range[3] = range[3] + 1
      return
    end
  end
  add_free(cap, due, 0, 1, units)
end

-- Take slots back that were not used and are not due yet. Returns how many; the others stay reserved. It is safe to
-- repeat.
-- slots: {due, serial}, in the order of their serials. units: points of cost with which they were reserved.
function cap_slots.give_back(cap, slots, units)
  local count = 0
  for _, slot in ipairs(slots) do
    local due, serial = slot[1], slot[2]
    if #cap.free < cap_slots.MOST_RANGES and may_return(cap, due, serial) and note_returned(cap, due, serial) then
      free_slot(cap, due, units)
      count = count + 1
    end
  end
  cap.reserved = math.max(cap.reserved - count, 0)
  return count
end

-- Correct the cost of a lease: later slots pay the difference (in points), or come earlier if it is negative, but never
-- before one interval after the latest reserved slot. Free slots ahead do not come before the debt is paid.
function cap_slots.correct(cap, difference)
  if difference > 0 and cap.has_cost then cap.free = {} end
  for _, limit in ipairs(cap.limits) do
    if limit.unit == type_settings.COST then
      local floor = cap.last + limit.interval
      local moved = math.max(limit.tat + difference * limit.interval, math.min(limit.tat, floor))
      limit.tat = math.min(moved, queue_record.LATEST_US)
    end
  end
end
