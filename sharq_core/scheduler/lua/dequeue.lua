-- dequeue: lease ready jobs of one type. The queue that is ready for longest comes first, and queues take turns in
-- rounds. Queues with caps are left to dequeue_capped.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, demand (DEMAND of rounds.lua)
-- Reply: {0, now, head of ready or -1, timer hint, due queues before (perhaps too few, if the type has settings), due
--        queues after, 1 if the payload bytes or the time ended the call, leases ended by timers, jobs of those that
--        became dead letters at their limit, then for each job: queue_id, job_id, payload, lease (LEASE of
--        rounds.lua); then, if jobs expired and the caller can decode it, their number and that of those that were
--        dropped; then, if queues of the type have or had caps and the caller can decode it, NEWS}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) a job, and at most 16 timers, 200 expired jobs, and 16 queues behind those that they held up
--
-- Uses: shortcuts, clock, queue_record, type_settings, counters, unit, rounds

local dequeue = {
  FEW = 4,          -- queues read first
  -- number of the latest change of parked queues, counters.allowed_at
  NEWS = '>I7i8',
}

-- Read the type's first queues as pairs of id and time, one more than `count`. Only a few are read while only a few are
-- due.
-- Returns the pairs, and how many of them to consider.
local function read_row(tx, count)
  local key, few = tx.keys[KEY.ready], dequeue.FEW
  if count > few then
    local row = call('ZRANGE', key, 0, few, 'WITHSCORES')
    local last = tonumber(row[2 * few + 2])
    if not last or last > tx.now then return row, few end
  end
  return call('ZRANGE', key, 0, count, 'WITHSCORES'), count
end

-- Read the type's first queues, longest ready first.
-- Returns their ids, their scores (µs), how many queues of the type are due, and when the first queue after these is
-- due or nil. Of a type with settings only the first of the due queues after these is counted (settle_agenda).
local function read_heads(tx, limit)
  local row, count = read_row(tx, limit)
  if not row[1] then return {}, {}, 0 end
  local ids, scores, due, now = {}, {}, 0, tx.now
  local next_due = tonumber(row[2 * count + 2])
  for at = 1, next_due and count or #row / 2 do
    local score = tonumber(row[2 * at])
    ids[at], scores[at] = row[2 * at - 1], score
    if score <= now then due = at end
  end
  if next_due and next_due <= now then
    due = tx.settings and count + 1 or call('ZCOUNT', tx.keys[KEY.ready], '-inf', now)
  end
  return ids, scores, due, next_due
end

dequeue.SOURCE = {
  read = read_heads,
  drop = function(tx, queue_id) call('ZREM', tx.keys[KEY.ready], queue_id) end,
}

-- Return when a queue is due after the call, or nil if it left ready.
local function ready_after(tx, queue_id, score)
  local queue = tx.queues[queue_id]
  if queue == nil then return score end
  local ready_score = queue and queue.ready_score
  if ready_score == UNMOVED then return score end
  return ready_score or nil
end

-- Raise the agenda to the time at which the limits of the type allow a lease. Returns false if that is later than now,
-- or not known.
local function wait_for_limits(tx, settings)
  local counts, at = tx.counters, type_settings.look_at(settings, tx.now)
  if counts.ready_at then counts.ready_at = math.max(counts.ready_at, at) end
  settings.is_earlier, settings.was_full = false, false
  return at <= tx.now and not counters.is_stopped(tx)
end

-- Set the agenda to the exact time of the type's next queue, or of its limits. settings: nil for none. Returns how many
-- queues may be leased from. Those of a type with settings are counted only if its limits allow another lease, which
-- they seldom do: a count costs a twentieth of a dequeue.
local function settle_agenda(tx, ids, scores, due, next_due, settings)
  local first, now = next_due, tx.now
  local last = now
  if settings then last = now + settings.leases end
  for index = 1, #ids do
    local at = ready_after(tx, ids[index], scores[index])
    if scores[index] <= now and not (at and at <= last) then due = due - 1 end
    if at and not (first and first <= at) then first = at end
  end
  tx.counters.ready_at, tx.ready_hint = first, false
  if not settings then return due end
  if not wait_for_limits(tx, settings) then return 0 end
  return next_due and next_due <= now and call('ZCOUNT', tx.keys[KEY.ready], '-inf', last) or due
end

-- Lease nothing, because the type says no. None of its queues is read. Returns as unit.reply.
local function refuse(tx, ended)
  local reply, before = unit.reply(tx, 0, 0, 0, ended, tx.died or 0)
  unit.flush(tx)
  local ready, counts, settings = tx.ready_hint, tx.counters, tx.settings
  if ready and not (counts.ready_at and counts.ready_at <= ready) then counts.ready_at = ready end
  tx.ready_hint = false
  if settings then
    -- If this call opened the limits, as the first one in a new period of a quota does, the agenda is that of before.
    if settings.is_earlier and counts.ready_at then counts.ready_at = math.min(counts.ready_at, tx.now) end
    wait_for_limits(tx, settings)
  end
  counters.watch_parked(tx)
  return reply, before
end

-- Add to the end of the reply, as far as the caller can decode it, the numbers of jobs that expired and the news of
-- parked queues.
local function add_news(tx, demand, reply)
  local knows = rounds.known(demand)
  if tx.expired and knows >= rounds.KNOWS_LIFE then unit.add_expired(tx, reply) end
  if knows >= rounds.KNOWS_CAPS and counters.has_caps(tx.counters) then
    reply[#reply + 1] = pack_bytes(dequeue.NEWS, counters.parking(tx.counters), counters.allowed_at(tx))
  end
end

function dequeue.run(tx, args, first)
  local demand = args[first]
  local not_after, count = unpack_bytes('>I8I2', demand)
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  if #demand >= rounds.MOST_TIME_AT then
    unit.limit_time(tx, unpack_bytes(rounds.MOST_TIME, demand, rounds.MOST_TIME_AT))
  end
  local ended = rounds.run_timers(tx)
  local is_limited = tx.is_limited
  local settings, reply, before
  if is_limited then
    settings, count = tx.settings, counters.leases_allowed(tx, count)
  end
  if count == 0 then
    reply, before = refuse(tx, ended)
  else
    local ids, scores, due, next_due = read_heads(tx, count)
    reply, before = unit.reply(tx, due, due, 0, ended, tx.died or 0)
    if due > 0 then
      local is_cut
      is_cut, ids, scores, due, next_due =
        rounds.lease(tx, dequeue.SOURCE, demand, count, reply, ids, scores, due, next_due)
      if is_cut then reply[before + 7] = 1 end
    end
    unit.flush(tx)
    local after = settle_agenda(tx, ids, scores, due, next_due, settings)
    reply[before + 6] = after
    if settings and after > reply[before + 5] then reply[before + 5] = after end
  end
  if tx.expired or tx.counters.newer then add_news(tx, demand, reply) end
  unit.close_counters(tx, reply)
  -- Nobody knows when the next queue of a stopped type is due.
  local ready_at = tx.counters.ready_at
  if is_limited and counters.is_stopped(tx) then ready_at = false end
  reply[before + 3] = ready_at and clock.shown(tx, ready_at) or -1
  return reply
end
