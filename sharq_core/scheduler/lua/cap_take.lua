-- cap_take: reserve slots of a cap.
--
-- Keys: counters caps permits
-- Args: now, '', terms (TERMS below), name of the cap, name of the node that asks
-- Reply: {0, now, -1, -1, status, the partition's time, the reason why there are not more slots (blocked_by.lua), time
--        until the next one may be had (µs; -1: not known), the horizon (µs), 1 if the slots have permits, else 0,
--        serial of the first slot, how long after its time a slot may be used (µs; only if the caller asks for it),
--        then the due time of each slot in the partition's time; their serials follow one another}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 done, 1 there is no such cap
-- Cost: O(slots * ranges of free slots)
--
-- Uses: shortcuts, clock, blocked_by, unit, caps, cap_slots, cap_turns, permits

local cap_take = {
  -- not_after (µs, 0: none), most slots, points of cost of each, weight of the node, how long ahead a slot may be due
  -- and must be due at least (µs), length of the leases (µs; 0: the caller does not know permits). A byte more: the
  -- caller asks for the grace of the slots. One that does not, of an older version, uses them for MIN_GRACE_US.
  TERMS = '>I8HI4I4I6I6I6',
  DONE = 0, UNKNOWN = 1,
}

-- Reserve slots for a node. Returns when they are due; then the reason why there are not more, and when to ask again
-- (nil: that is not known). Their serials follow one another.
local function reserve(cap, turn, want, units, weight, within, after)
  local now, slots = cap.now, {}
  local latest = now + math.min(within, caps.horizon(cap))
  local start = math.max(now + after, cap.held_until)
  local turn_ends, near = cap_turns.bounds(cap, turn, weight, cap_slots.distance(cap, units))
  while true do
    local at, index, before = cap_slots.next(cap, start, units)
    local ask_at = at - (latest - now)
    if #slots == want then return slots, blocked_by.NOTHING, ask_at end
    if at > latest then return slots, cap.held_until > latest and blocked_by.HOLD or blocked_by.RATE, ask_at end
    if turn[2] > turn_ends and at - now > near then return slots, blocked_by.RATE, at - near end
    if cap_slots.is_run(cap, start) then
      turn[2] = cap_slots.reserve_run(cap, start, units, want - #slots, latest, turn[2], 1 / weight, turn_ends,
        now + near, slots)
    else
      cap_slots.reserve(cap, start, units, at, index, before)
      slots[#slots + 1] = at
      turn[2] = turn[2] + 1 / weight
    end
  end
end

-- Return slots with their serials, as permits.make takes them.
local function with_serials(slots, first_serial)
  local rows = {}
  for index, due in ipairs(slots) do rows[index] = {due, first_serial + index - 1} end
  return rows
end

function cap_take.run(tx, args, first)
  local terms = args[first]
  local not_after, want, units, weight, within, after, lease, known_at = unpack_bytes(cap_take.TERMS, terms)
  local asks_grace = #terms >= known_at
  if not caps.open(tx, not_after) then return unit.expired(tx) end
  local cap = caps.enter(tx, args[first + 1])
  if not cap or cap.is_dropped then
    caps.leave(tx)
    return {0, clock.store_time(tx), -1, -1, cap_take.UNKNOWN, tx.now, 0, -1, 0, 0, 0, asks_grace and 0 or nil}
  end
  if cap.leased > 0 then permits.sweep(tx, cap) end
  cap_slots.trim(cap)
  local is_counted = cap.max_leased > 0
  local allowed, allowed_at = want, nil
  if is_counted then allowed, allowed_at = permits.allowed(cap, lease > 0 and want or 0) end
  local turn = cap_turns.enter(cap, args[first + 2])
  local first_serial = cap.serial + 1
  local slots, reason, ask_at = reserve(cap, turn, allowed, units, weight, within, after)
  if is_counted then permits.make(tx, cap, with_serials(slots, first_serial), lease) end
  caps.close(tx, cap)
  if reason == blocked_by.NOTHING and allowed < want then reason, ask_at = blocked_by.MAX_LEASED, allowed_at end
  local reply = {0, clock.store_time(tx), -1, -1, cap_take.DONE, cap.now, reason,
    ask_at and math.max(ask_at - cap.now, 0) or -1, caps.horizon(cap), is_counted and 1 or 0,
    slots[1] and first_serial or 0}
  if asks_grace then reply[12] = caps.grace(cap) end
  for _, due in ipairs(slots) do reply[#reply + 1] = due end
  return reply
end
