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
  SWEPT = 100,          -- ended permits that one call counts
  GRACE_US = 10000,     -- how late a slot may be used
  -- The clock of the queue's server may run slower than that of the ledger's.
  MARGIN_US = 1000000, DRIFT = 100,
}

-- Return the key of the permits.
function permits.key(tx)
  return sub(tx.keys[KEY.counters], 1, -caps.KEY_LENGTH - 1) .. 'permits'
end

local function permit_of(cap, serial)
  return pack_bytes(permits.SERIAL, serial) .. cap.name
end

-- Return when a permit ends whose lease begins at a time at the latest (µs).
local function ends_at(begin, lease)
  return begin + lease + math.ceil(lease / permits.DRIFT) + permits.MARGIN_US
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

-- Return how many more leases a cap allows, at most `want`.
function permits.allowed(cap, want)
  return cap.max_leased > 0 and math.max(math.min(want, cap.max_leased - cap.leased), 0) or want
end

-- Make the permits of slots.
-- slots: {due, serial}. lease: the length of the leases (µs).
function permits.make(tx, cap, slots, lease)
  local values = false
  for _, slot in ipairs(slots) do
    values = append(values, ends_at(slot[1] + permits.GRACE_US, lease), permit_of(cap, slot[2]))
  end
  if not values then return end
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
