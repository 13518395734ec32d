-- The ledger of named caps: which slots of a cap are reserved. A cap has its ledger in its home partition; the nodes
-- that reserve slots use them anywhere (docs/decisions/named-caps.md).
--
-- caps  <name> -> HEAD, then the limits (type_settings.LIMIT), ranges of free slots (FREE), ranges of serials that came
--       back (RETURNED), turns of nodes (TURN), bytes of a newer version
--
--   serial    The number of the newest reservation. It begins with the time at which the cap was made (µs).
--   floor     Slots with this serial or a lower one do not come back: they were reserved under another limit, or a
--             failover may have lost what became of them.
--   reserved  How many slots were reserved and did not come back.
--   latest    The time of the latest call. The cap's time never goes back, even if the partition's does.
--   last      The time of the latest slot that was reserved.
--   reach     No slot that was reserved under a former limit is due later.
--   units     Points of cost of the latest reservation.
--   longest   The longest lease of the permits of the last hour or more, with the time at which one so long was last
--             made, and the time from which there are permits (permits.lua).
--   token     The process of the store that wrote the record last. Another one may lack reservations (fail_over).
--
-- A limit is a leaky bucket, as in type_settings.lua: tat is the place of the next new slot. A place may lie behind by
-- the slack of the burst, and a slot is due when all limits allow it.
--
-- A record of a dropped cap stays until a new cap of its name would allow no more than the old one: then a call that
-- defines or drops a cap and meets it removes it.
--
-- The key is derived from that of the counters, because older nodes do not declare it.
--
-- Uses: shortcuts, clock, queue_record, type_settings

local caps = {
  KEY_LENGTH = #'counters',
  -- format, flags, permits in use (permits.lua), token, serial, floor, reserved, latest, last, reach, held until,
  -- dropped since (0: it is not), longest lease, when it was, first time of permits, units, most leased jobs (0: any
  -- number), numbers of limits, free ranges, returned ranges and turns
  HEAD = '>BBI4c12I7I7I7I7I7I7I7I7I7I7I7I4I4BBBB',
  LEASED_AT = 3, LEASED = '>I4',
  FREE = '>I7I6I4I4',      -- first time, distance, number, points of cost
  RETURNED = '>I7I4I7',    -- first serial, number, time from which none of them can come back
  TURN = '>Bc0dI7',        -- length and name of the node, virtual time, when it last asked
  -- Slots are reserved this many of the longest intervals ahead, but not less and not more than these times (horizon).
  HORIZON_SLOTS = 64, MIN_HORIZON_US = 20000, MOST_HORIZON_US = 100000,
  -- A slot may be used this part of the shortest interval late, but not less and not more than these times (grace).
  GRACE_PART = 20, MIN_GRACE_US = 10000, MOST_GRACE_US = 250000,
  -- A permit lasts so much longer than its lease can: the server of the queue may lose time if its clock steps back.
  MARGIN_US = 15000000,
  EXTEND_US = 5000000,     -- how long after the renewal of its permits an extend may run
  SERIALS_OF_A_SERVER = 4294967296,  -- more reservations than a replica can lack
  KEEP_US = 60000000,      -- how long a dropped cap is remembered at least
  SWEPT = 20,              -- records that a definition looks at to remove dropped caps
  token = false,           -- that of this process, made by its first call
}

-- Return the key of the caps.
function caps.key(tx)
  return sub(tx.keys[KEY.counters], 1, -caps.KEY_LENGTH - 1) .. 'caps'
end

-- Return the token of this process. A restart, a promotion, a full copy from another server and another library all
-- begin with a new table, and so with a new token.
local function own_token()
  if not caps.token then
    local time = call('TIME')
    caps.token = sub(redis.sha1hex(time[1] .. ' ' .. time[2] .. ' ' .. tostring(caps)), 1, 12)
  end
  return caps.token
end

-- Set the time of a call that writes. Returns false if the call must not run any more.
function caps.open(tx, not_after)
  if clock.is_set(tx, not_after) then return true end
  return clock.set(tx, call('HGET', tx.keys[KEY.counters], clock.FIELD), not_after)
end

-- Return rows of a record from a position on, each with `width` values, and where they end.
local function unpack_rows(format, raw, count, at)
  local rows = {}
  for index = 1, count do
    local row = {unpack_bytes(format, raw, at)}
    rows[index], at = row, row[#row]
    row[#row] = nil
  end
  return rows, at
end

-- Return the cap of a record.
function caps.unpack(name, raw)
  local cap = {name = name, limits = {}}
  local limits, free, returned, turns, at
  cap.format, cap.flags, cap.leased, cap.token, cap.serial, cap.floor, cap.reserved, cap.latest, cap.last, cap.reach,
    cap.held_until, cap.dropped_at, cap.longest, cap.longest_at, cap.permits_from, cap.units,
    cap.max_leased, limits, free, returned, turns, at =
    unpack_bytes(caps.HEAD, raw)
  for index = 1, limits do
    local unit_of, interval, burst, hundredths, tat
    unit_of, interval, burst, hundredths, tat, at = unpack_bytes(type_settings.LIMIT, raw, at)
    cap.limits[index] = type_settings.new_limit(unit_of, interval, burst * 100 + hundredths, tat)
  end
  cap.free, at = unpack_rows(caps.FREE, raw, free, at)
  cap.returned, at = unpack_rows(caps.RETURNED, raw, returned, at)
  cap.turns, at = unpack_rows(caps.TURN, raw, turns, at)
  cap.newer = sub(raw, at)
  return cap
end

-- Return a cap that never had a slot.
local function blank(name)
  return {name = name, format = 1, flags = 0, leased = 0, token = own_token(), serial = 0, floor = 0, reserved = 0,
    latest = 0, last = 0, reach = 0, held_until = 0, dropped_at = 1, longest = 0,
    longest_at = 0, permits_from = 0, units = 1, max_leased = 0, limits = {}, free = {},
    returned = {}, turns = {}, newer = ''}
end

-- Return the record of a cap.
local function pack(cap)
  local limits, parts = cap.limits, {}
  parts[1] = pack_bytes(caps.HEAD, cap.format, cap.flags, cap.leased, cap.token, cap.serial, cap.floor, cap.reserved,
    cap.latest, cap.last, cap.reach, cap.held_until, cap.dropped_at, cap.longest, cap.longest_at, cap.permits_from,
    cap.units, cap.max_leased, #limits, #cap.free,
    #cap.returned, #cap.turns)
  for index = 1, #limits do
    local limit = limits[index]
    local hundredths = limit.burst % 100
    parts[#parts + 1] = pack_bytes(type_settings.LIMIT, limit.unit, limit.interval, (limit.burst - hundredths) / 100,
      hundredths, limit.tat)
  end
  for _, range in ipairs(cap.free) do parts[#parts + 1] = pack_bytes(caps.FREE, unpack(range)) end
  for _, range in ipairs(cap.returned) do parts[#parts + 1] = pack_bytes(caps.RETURNED, unpack(range)) end
  for _, turn in ipairs(cap.turns) do parts[#parts + 1] = pack_bytes(caps.TURN, #turn[1], unpack(turn)) end
  parts[#parts + 1] = cap.newer
  return table.concat(parts)
end

-- Return the time ahead for which slots of a cap are reserved (µs): one interval, or several if that is short.
function caps.horizon(cap)
  local longest = 0
  for _, limit in ipairs(cap.limits) do longest = math.max(longest, limit.interval) end
  local several = math.min(longest * caps.HORIZON_SLOTS, caps.MOST_HORIZON_US)
  return math.max(longest, several, caps.MIN_HORIZON_US)
end

-- Return how long after its time a slot may be used that is reserved now (µs).
function caps.grace(cap)
  local shortest = caps.GRACE_PART * caps.MOST_GRACE_US
  for _, limit in ipairs(cap.limits) do shortest = math.min(shortest, limit.interval) end
  if #cap.limits == 0 then return caps.MIN_GRACE_US end
  return math.max(math.floor(shortest / caps.GRACE_PART), caps.MIN_GRACE_US)
end

-- Forget which slots ahead are free, and take none back that is reserved.
local function close_past(cap)
  cap.free, cap.returned, cap.floor = {}, {}, cap.serial
end

-- Begin anew if another process wrote the record last, because this one may lack the latest reservations. Each of them
-- is due within a horizon from now, so that the slots up to there are left out, as many points as the latest known one
-- took, and the burst is not given anew. The serials begin where no lost reservation can have come. There are no
-- permits until those that this process may not know of have ended.
local function fail_over(cap)
  if cap.token == own_token() then return end
  cap.token, cap.serial = own_token(), cap.serial + caps.SERIALS_OF_A_SERVER
  close_past(cap)
  local reach = math.max(cap.reach, cap.now + caps.horizon(cap))
  cap.last = math.max(cap.last, reach)
  for _, limit in ipairs(cap.limits) do
    local units = limit.unit == type_settings.COST and cap.units or 1
    limit.tat = math.min(math.max(limit.tat, reach + units * limit.interval), queue_record.LATEST_US)
  end
  if cap.max_leased > 0 then
    local begins = math.max(caps.EXTEND_US, reach - cap.now + caps.grace(cap))
    cap.permits_from = math.max(cap.permits_from, cap.now + begins + cap.longest + caps.MARGIN_US)
  end
end

-- Move all times of a cap back, because the partition's time was set back (set_clock.lua). A small step is not
-- believed: the cap's time stands still then.
local function heal(cap, now)
  local ahead = cap.latest - now
  if ahead <= queue_record.AHEAD_US then return end
  local function moved(at) return math.max(at - ahead, 0) end
  cap.latest, cap.last, cap.reach, cap.held_until = now, moved(cap.last), moved(cap.reach), moved(cap.held_until)
  cap.longest_at, cap.permits_from = moved(cap.longest_at), moved(cap.permits_from)
  for _, limit in ipairs(cap.limits) do limit.tat = moved(limit.tat) end
  for _, turn in ipairs(cap.turns) do turn[3] = moved(turn[3]) end
  close_past(cap)
end

-- Set the time of a cap for a call.
local function set_time(tx, cap)
  heal(cap, tx.now)
  cap.now = math.max(cap.latest, tx.now)
  cap.latest = cap.now
end

-- Return a cap for a call that changes it, or nil if there is none. A dropped one has is_dropped.
function caps.enter(tx, name)
  local raw = call('HGET', caps.key(tx), name)
  if not raw then return nil end
  local cap = caps.unpack(name, raw)
  set_time(tx, cap)
  fail_over(cap)
  cap.is_dropped = cap.dropped_at > 0
  return cap
end

-- Return a new cap, which counts as dropped until it is defined.
function caps.new(tx, name)
  local cap = blank(name)
  set_time(tx, cap)
  -- No reservation of an earlier cap of the name has such a serial, so that a late settlement ends no permit of this.
  cap.serial, cap.floor = cap.now, cap.now
  cap.is_dropped = true
  return cap
end

-- Return a cap of a record for a call that only reads.
function caps.see(tx, name, raw)
  local cap = caps.unpack(name, raw)
  set_time(tx, cap)
  cap.is_dropped = cap.dropped_at > 0
  return cap
end

-- Write a cap, and the clock of the partition if the call changed it.
function caps.close(tx, cap)
  call('HSET', caps.key(tx), cap.name, pack(cap))
  if tx.tick then
    call('HSET', tx.keys[KEY.counters], clock.FIELD, tx.tick)
    tx.tick = nil
  end
end

-- End a call that changed no cap. It writes the clock even if that says the same as before, so that a WAIT after the
-- call covers what it read, but creates nothing.
function caps.leave(tx)
  if call('HEXISTS', tx.keys[KEY.counters], clock.FIELD) == 1 then clock.write(tx) end
  tx.tick = nil
end

-- Count permits of a cap that ended, without touching anything else of its record.
function caps.count_ended(tx, name, ended)
  local key = caps.key(tx)
  local raw = call('HGET', key, name)
  if not raw then return end
  local leased = unpack_bytes(caps.LEASED, raw, caps.LEASED_AT)
  call('HSET', key, name, sub(raw, 1, caps.LEASED_AT - 1)
    .. pack_bytes(caps.LEASED, math.max(leased - ended, 0)) .. sub(raw, caps.LEASED_AT + 4))
end

-- Return true if the limits of a cap are those of a definition.
-- rows: {unit, interval, burst in hundredths}.
local function has_limits(cap, rows)
  if #rows ~= #cap.limits then return false end
  for index, row in ipairs(rows) do
    local limit = cap.limits[index]
    if limit.unit ~= row[1] or limit.interval ~= row[2] or limit.burst ~= row[3] then return false end
  end
  return true
end

-- Return how much shorter the grace of new slots will be than that of the reserved ones (µs).
local function lost_grace(cap, rows)
  local new = {limits = {}}
  for index, row in ipairs(rows) do new.limits[index] = {interval = row[2]} end
  return math.max(caps.grace(cap) - caps.grace(new), 0)
end

-- Replace the limits of a cap. Slots ahead that nobody has reserved follow the new ones at once. Those that are
-- reserved may still be used, but do not come back: their distance is that of the old limits. If their grace is longer
-- than that of new slots, they count as due later by the difference.
function caps.replace_limits(cap, rows)
  if has_limits(cap, rows) then return end
  local later = lost_grace(cap, rows)
  cap.reach = math.max(cap.reach, cap.now + caps.horizon(cap)) + later
  if cap.last > 0 then cap.last = cap.last + later end
  close_past(cap)
  type_settings.replace_limits(cap, rows)
end

-- Return true if a dropped cap can be forgotten: a new one of its name would allow no more.
local function is_forgettable(cap)
  local kept_until = math.max(cap.dropped_at + caps.KEEP_US, cap.last, cap.reach)
  for _, limit in ipairs(cap.limits) do kept_until = math.max(kept_until, limit.tat + limit.slack) end
  return cap.leased == 0 and cap.now > kept_until
end

-- Remove dropped caps that can be forgotten, if they are among some that are drawn at random.
function caps.sweep(tx)
  local key = caps.key(tx)
  local drawn = call('HRANDFIELD', key, caps.SWEPT, 'WITHVALUES')
  for index = 1, #drawn, 2 do
    local cap = caps.see(tx, drawn[index], drawn[index + 1])
    if cap.is_dropped and is_forgettable(cap) then call('HDEL', key, cap.name) end
  end
end
