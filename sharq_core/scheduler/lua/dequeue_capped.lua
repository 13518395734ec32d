-- dequeue_capped: lease jobs of queues with exactly one set of caps, for a node that has a slot of each of these caps
-- for each job. The queue that is ready for longest comes first, and queues take turns in rounds.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, demand (DEMAND of rounds.lua, the byte after it, and SLOTS), names of the caps (cap_sets.lua), and,
--       if caps limit the leases at one time, for each job in turn the permits of its slots (job_permits.lua; '' for
--       none)
-- Reply: {0, now, agenda of the type or -1, timer hint, due queues of the set before, the same after, 1 if the payload
--        bytes ended the call, leases ended by timers, jobs of those that became dead letters at their limit, when the
--        next queue of the set is due (µs) or -1, cost of the first job that costs more than the slots allow or 0, jobs
--        that expired, those of them that were dropped, number of the latest change of parked queues,
--        counters.allowed_at, then for each job as dequeue}
--        {1, now, -1, -1} if the call came after not_after, or if the shift of the partition's time has changed since
--        the caller's reading of it: no job was touched
-- Cost: as dequeue
--
-- Uses: shortcuts, clock, cap_sets, counters, parking, unit, rounds

local dequeue_capped = {
  -- most cost of a job, and the number of changes of the partition's time that the caller knows (-1: any)
  SLOTS = '>I4i8',
  KNOWN = 1,  -- bytes between DEMAND and SLOTS
}

-- Return where the queues of a set stand, for rounds.lease.
local function source_of(set)
  local source = {set = set}
  function source.read(tx, limit)
    local ids, scores = {}, {}
    for index, member in ipairs(parking.heads(tx, set, tx.now, limit)) do
      local _, at, queue_id = parking.unpack(member)
      ids[index], scores[index] = queue_id, at
    end
    local due = #ids
    if due == limit then
      local _
      _, due = parking.see(tx, set)
    end
    return ids, scores, due
  end
  function source.drop(tx, queue_id, at)
    parking.drop(tx, set, at, queue_id)
  end
  return source
end

-- Lease up to `count` jobs. Returns how many queues were due.
local function lease(tx, set, demand, count, most_cost, reply, before)
  local source = source_of(set)
  local ids, scores, due = source.read(tx, count)
  tx.own_set = set
  if due > 0 and rounds.lease(tx, source, demand, count, reply, ids, scores, due, nil, most_cost) then
    reply[before + 7] = 1
  end
  return due
end

-- Fill in what the reply says of the set and of the type after the call.
local function tell(tx, set, due, reply, before)
  local at, due_after = nil, 0
  if set then at, due_after = parking.see(tx, set) end
  reply[before + 5], reply[before + 6] = due, due_after
  reply[before + 10] = at and clock.shown(tx, at) or -1
  reply[before + 11], reply[before + 12], reply[before + 13] = tx.left_cost or 0, tx.expired or 0, tx.dropped or 0
  reply[before + 14], reply[before + 15] = counters.parking(tx.counters), counters.allowed_at(tx)
end

-- Return the reply of a call whose caller does not know the present shift of the partition's time, and keep the shift,
-- so that the caller can read it.
local function refuse(tx)
  if tx.tick then clock.write(tx) end
  return unit.expired(tx)
end

function dequeue_capped.run(tx, args, first, length)
  local demand = args[first]
  local not_after, count = unpack_bytes('>I8I2', demand)
  local _, _, _, _, _, _, known_at = unpack_bytes(rounds.DEMAND, demand)
  local most_cost, number = unpack_bytes(dequeue_capped.SLOTS, demand, known_at + dequeue_capped.KNOWN)
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  if number >= 0 and clock.number(tx) ~= number then return refuse(tx) end
  local ended, set, due = rounds.run_timers(tx), cap_sets.find(tx, args[first + 1]), 0
  if tx.is_limited then count = counters.leases_allowed(tx, count) end
  local reply, before = unit.reply(tx, 0, 0, 0, ended, tx.died or 0, -1, 0, 0, 0, 0, 0)
  if length > 2 then tx.permits = {unpack(args, first + 2, first + length - 1)} end
  if set and count > 0 then due = lease(tx, set, demand, count, most_cost, reply, before) end
  unit.flush(tx)
  tell(tx, set, due, reply, before)
  counters.watch_parked(tx)
  unit.close_counters(tx, reply)
  local ready_at = tx.counters.ready_at
  if tx.is_limited and counters.is_stopped(tx) then ready_at = false end
  reply[before + 3] = ready_at and clock.shown(tx, ready_at) or -1
  return reply
end
