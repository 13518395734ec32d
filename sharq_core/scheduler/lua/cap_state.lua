-- The row that says how a cap stands. put_cap, get_cap and list_caps reply with it.
--
-- Uses: clock, blocked_by, cap_slots

local cap_state = {}

-- Return the reason why no slot of a cap is due now, and when the next one is (µs; nil: that is not known).
local function blocked(cap)
  local at = cap_slots.next(cap, math.max(cap.now, cap.held_until), 1)
  if cap.held_until > cap.now then return blocked_by.HOLD, at end
  if cap.max_leased > 0 and cap.leased >= cap.max_leased then return blocked_by.MAX_LEASED, nil end
  return at > cap.now and blocked_by.RATE or blocked_by.NOTHING, at
end

-- Add the row of a cap to a reply: name, most leased jobs (0: any number), end of its hold by the store's clock (-1:
-- none), permits in use, reserved slots, the reason why none is due now, time until the next one is due (µs, -1: not
-- known), number of limits, then for each unit, interval (µs) and hundredths of the burst.
function cap_state.add(tx, reply, cap)
  cap_slots.trim(cap)
  local reason, at = blocked(cap)
  local row = {cap.name, cap.max_leased, cap.held_until > cap.now and clock.shown(tx, cap.held_until) or -1,
    cap.leased, cap.reserved, reason, at and at - cap.now or -1, #cap.limits}
  for _, limit in ipairs(cap.limits) do
    local length = #row
    row[length + 1], row[length + 2], row[length + 3] = limit.unit, limit.interval, limit.burst
  end
  for _, value in ipairs(row) do reply[#reply + 1] = value end
end
