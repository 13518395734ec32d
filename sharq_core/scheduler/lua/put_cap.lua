-- put_cap: define a cap, or define it anew. Limits that stay go on; others begin one interval after the latest slot.
--
-- Keys: counters caps permits
-- Args: now, '', name of the cap, definition (DEFINITION below, then LIMIT for each limit)
-- Reply: {0, now, -1, -1, then as cap_state.add}
--        {0, now, -1, -1} if the partition has too many caps: nothing was done
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(1)
--
-- Uses: shortcuts, clock, unit, caps, permits, cap_state

local put_cap = {
  -- not_after (µs, 0: none), most caps of the partition, most leased jobs (0: any number), 1 to hold from now or to end
  -- the hold, hold (µs; 0: end it), number of limits
  DEFINITION = '>I8I4I4BI6B',
  LIMIT = '>BI6I4B',  -- unit, interval, burst, hundredths of the burst
}

-- Return the limits of a definition.
local function unpack_limits(raw, count, at)
  local rows = {}
  for index = 1, count do
    local row = {unpack_bytes(put_cap.LIMIT, raw, at)}
    rows[index], at = {row[1], row[2], row[3] * 100 + row[4]}, row[5]
  end
  return rows
end

function put_cap.run(tx, args, first)
  local name, definition = args[first], args[first + 1]
  local not_after, max_caps, max_leased, has_hold, hold, count, at = unpack_bytes(put_cap.DEFINITION, definition)
  if not caps.open(tx, not_after) then return unit.expired(tx) end
  local cap = caps.enter(tx, name)
  if not cap then
    if call('HLEN', caps.key(tx)) >= max_caps then
      caps.leave(tx)
      return {0, clock.store_time(tx), -1, -1}
    end
    cap = caps.new(tx, name)
  end
  caps.sweep(tx)
  if cap.leased > 0 then permits.sweep(tx, cap) end
  if cap.is_dropped then cap.dropped_at, cap.held_until = 0, 0 end
  caps.replace_limits(cap, unpack_limits(definition, count, at))
  cap.max_leased = max_leased
  if has_hold == 1 then cap.held_until = hold > 0 and math.max(cap.held_until, cap.now + hold) or 0 end
  caps.close(tx, cap)
  local reply = {0, clock.store_time(tx), -1, -1}
  cap_state.add(tx, reply, cap)
  return reply
end
