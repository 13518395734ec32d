-- The permits of caps that limit how many jobs are leased at one time. A slot of such a cap comes with a permit, which
-- ends when the lease of its job has surely ended, or when it is given back before.
--
-- permits  serial of the slot (7 bytes) and the name of the cap -> when the permit ends (µs)
--
-- The record of a cap counts its permits (caps.lua: leased). Each call about a cap with permits counts those that ended
-- meanwhile, of all caps of the partition, in bounded steps. So the number is never too small, and a lease is never
-- allowed too early.
--
-- The key is derived from that of the counters, because older nodes do not declare it.
--
-- Uses: shortcuts, lists, caps

local permits = {
  SERIAL = '>I7', SERIAL_LENGTH = 7,
  SWEPT = 100,            -- ended permits that one call counts
  DRIFT = 100,            -- the clocks of two servers differ by less than this part of a time
  KEEP_US = 3600000000,   -- how long a long lease is remembered, for a failover
}

-- Return the key of the permits.
function permits.key(tx)
  return sub(tx.keys[KEY.counters], 1, -caps.KEY_LENGTH - 1) .. 'permits'
end

local function permit_of(cap, serial)
  return pack_bytes(permits.SERIAL, serial) .. cap.name
end

-- Return when a permit ends whose lease begins, or is extended, at a time at the latest (µs).
local function ends_at(begin, lease)
  return begin + lease + math.ceil(lease / permits.DRIFT) + caps.MARGIN_US
end

-- Note the length of a lease.
local function note_lease(cap, lease)
  lease = lease + math.ceil(lease / permits.DRIFT)
  if lease >= cap.longest or cap.now > cap.longest_at + permits.KEEP_US then
    cap.longest, cap.longest_at = lease, cap.now
  end
end

-- Return the serials that a caller names.
function permits.serials(raw)
  local serials = {}
  for at = 1, #raw, permits.SERIAL_LENGTH do serials[#serials + 1] = unpack_bytes(permits.SERIAL, raw, at) end
  return serials
end

-- Count the permits that ended. cap: that of the call, whose record the call writes.
function permits.sweep(tx, cap)
  local key = permits.key(tx)
  local ended = call('ZRANGE', key, '-inf', '(' .. string.format('%.0f', tx.now), 'BYSCORE', 'LIMIT', 0, permits.SWEPT)
  if #ended == 0 then return end
  local counts = {}
  for _, name in ipairs(ended) do
    name = sub(name, permits.SERIAL_LENGTH + 1)
    counts[name] = (counts[name] or 0) + 1
  end
  call('ZREM', key, unpack(ended))
  for name, count in pairs(counts) do
    if name == cap.name then
      cap.leased = math.max(cap.leased - count, 0)
    else
      caps.count_ended(tx, name, count)
    end
  end
end

-- Return how many more leases a cap with max_leased allows, at most `want`; and when to ask again (µs; nil: that is not
-- known).
function permits.allowed(cap, want)
  if cap.now < cap.permits_from then return 0, cap.permits_from end
  return math.max(math.min(want, cap.max_leased - cap.leased), 0)
end

-- Make the permits of slots.
-- slots: {due, serial}. lease: the length of the leases (µs).
function permits.make(tx, cap, slots, lease)
  local values, grace = false, caps.grace(cap)
  for _, slot in ipairs(slots) do
    values = append(values, ends_at(slot[1] + grace, lease), permit_of(cap, slot[2]))
  end
  if not values then return end
  note_lease(cap, lease)
  call('ZADD', permits.key(tx), unpack(values))
  cap.leased = cap.leased + #slots
end

-- Give permits back, by the serials of their slots. Returns how many there were.
function permits.settle(tx, cap, serials)
  local settled = {}
  for index, serial in ipairs(serials) do settled[index] = permit_of(cap, serial) end
  if #settled == 0 then return 0 end
  local count = call('ZREM', permits.key(tx), unpack(settled))
  cap.leased = math.max(cap.leased - count, 0)
  return count
end

-- Let permits last as long as their leases will after an extend that runs soon. Returns 1 for each serial that has a
-- permit still, and 0 for the others.
function permits.renew(tx, cap, serials, lease)
  local key, ends, has_permit, values = permits.key(tx), ends_at(cap.now + caps.EXTEND_US, lease), {}, false
  for index, serial in ipairs(serials) do
    local permit = permit_of(cap, serial)
    local ended_at = tonumber(call('ZSCORE', key, permit) or 0)
    has_permit[index] = ended_at >= cap.now and 1 or 0
    if ended_at >= cap.now and ended_at < ends then values = append(values, ends, permit) end
  end
  note_lease(cap, lease)
  if values then call('ZADD', key, unpack(values)) end
  return has_permit
end
