-- dequeue_capped: lease jobs of queues with exactly one set of caps, for a node that has a slot of each of these caps
-- for each job. The queue that is ready for longest comes first, and queues take turns in rounds.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, demand (DEMAND of rounds.lua, the byte after it, SLOTS, and perhaps MOST_TIME of rounds.lua), names
--       of the caps (cap_sets.lua), and, if caps limit the leases at one time, for each job in turn the permits of its
--       slots (job_permits.lua; '' for none)
-- Reply: {0, now, agenda of the type or -1, timer hint, due queues of the set before, the same after, 1 if the payload
--        bytes or the time ended the call, leases ended by timers, jobs of those that became dead letters at their
--        limit, when the next queue of the set is due (µs) or -1, cost of the first job that costs more than the slots
--        allow or 0, jobs that expired, those of them that were dropped, number of the latest change of parked queues,
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

-- Read the first queues of the set, longest due first. Returns as read of rounds.lease.
local function read_heads(tx, limit)
  local ids, scores, due, next_due = {}, {}, 0, nil
  local row, now = parking.heads(tx, tx.own_set, nil, limit + 1), tx.now
  for index = 1, #row do
    local _, at, queue_id = parking.unpack(row[index])
    if index > limit then
      next_due = at
    else
      ids[index], scores[index] = queue_id, at
      if at <= now then due = index end
    end
  end
  if next_due and next_due <= now then due = parking.count_due(tx, tx.own_set) end
  return ids, scores, due, next_due
end

local SOURCE = {
  read = read_heads,
  drop = function(tx, queue_id, at) parking.drop(tx, tx.own_set, at, queue_id) end,
}

-- Return when a queue is due after the call, or nil if it left its place. score: when it was due before.
local function due_after(tx, queue_id, score)
  local queue = tx.queues[queue_id]
  if queue == nil then return score end
  return queue and queue.parked_set == tx.own_set and queue.parked_at or nil
end

-- Return when the next queue of the set is due after the call, or nil if none waits, and how many are due.
-- ids, scores, due, next_due: what read_heads returned last.
local function look_after(tx, ids, scores, due, next_due)
  local first, now = next_due, tx.now
  for index = 1, #ids do
    local score = scores[index]
    local at = due_after(tx, ids[index], score)
    if score <= now and not (at and at <= now) then due = due - 1 end
    if at and not (first and first <= at) then first = at end
  end
  return first, due
end

-- Lease up to `count` jobs of a set, and write everything but the counters. Fills in what the reply says of the set.
local function lease(tx, set, demand, count, most_cost, reply, before)
  tx.own_set = set
  local ids, scores, due, next_due = read_heads(tx, count)
  reply[before + 5] = due
  if due > 0 and count > 0 then
    local is_cut
    is_cut, ids, scores, due, next_due =
      rounds.lease(tx, SOURCE, demand, count, reply, ids, scores, due, next_due, most_cost)
    if is_cut then reply[before + 7] = 1 end
  end
  unit.flush(tx)
  local first, still_due = look_after(tx, ids, scores, due, next_due)
  reply[before + 6], reply[before + 10] = still_due, first and clock.shown(tx, first) or -1
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
  local most_cost, number, time_at = unpack_bytes(dequeue_capped.SLOTS, demand, known_at + dequeue_capped.KNOWN)
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  if number >= 0 and clock.known_number(tx) ~= number then return refuse(tx) end
  if #demand >= time_at then unit.limit_time(tx, unpack_bytes(rounds.MOST_TIME, demand, time_at)) end
  local ended, set = rounds.run_timers(tx), cap_sets.find(tx, args[first + 1])
  if tx.is_limited then count = counters.leases_allowed(tx, count) end
  local reply, before = unit.reply(tx, 0, 0, 0, ended, tx.died or 0, -1, 0, 0, 0, 0, 0)
  if length > 2 then tx.permits = {unpack(args, first + 2, first + length - 1)} end
  if set then lease(tx, set, demand, count, most_cost, reply, before) else unit.flush(tx) end
  reply[before + 11], reply[before + 12], reply[before + 13] = tx.left_cost or 0, tx.expired or 0, tx.dropped or 0
  reply[before + 14], reply[before + 15] = counters.parking(tx.counters), counters.allowed_at(tx)
  counters.watch_parked(tx)
  unit.close_counters(tx, reply)
  local ready_at = tx.counters.ready_at
  if tx.is_limited and counters.is_stopped(tx) then ready_at = false end
  reply[before + 3] = ready_at and clock.shown(tx, ready_at) or -1
  return reply
end
