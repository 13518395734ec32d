-- The turns of a dequeue: how many jobs each due queue gives, and in which order. Queues take turns in rounds, the one
-- that is ready for longest first.
--
-- Uses: shortcuts, clock, job_record, notes, queue_windows, queue_limits, queue_record, quotas, type_settings, lines,
-- counters, unit, job_permits, transitions, expiry, timers

local rounds = {
  -- not_after (µs, 0: none), count (1-100), most jobs from a queue in this call, lease (µs), payload bytes to stay
  -- below (checked before each job but the first), random bytes for the tokens; then a byte that says what more of a
  -- lease the caller can decode (older versions leave it out); then, in a dequeue without caps, perhaps MOST_TIME
  DEMAND = '>I8I2I2I8I4c8',
  KNOWS_COST = 1, KNOWS_LIFE = 2, KNOWS_TRACE = 4, KNOWS_CAPS = 8,
  -- token, leased until (µs), enqueued (µs), attempt, requeues remaining (-1: no limit), jobs left in its queue, how
  -- long the job was ready (µs). Seven separate values would cost twice as much.
  LEASE = '>c16I8I8I4i4I4I8',
  COST = '>I4',      -- follows for a caller that only knows the cost, unless it is 1
  LIFE = '>I4BI8',   -- else cost, priority of the API, expiry (µs; 0: none) follow, unless all are as usual; then the
                     -- trace of the job (notes.lua), if it has one and the caller can decode it
  MOST_TIME = '>I4', MOST_TIME_AT = 34,  -- the time that the choice of jobs may take (unit.is_spent), µs
  TIMERS = 16,        -- timers run at most
  LOOK = 8,           -- jobs leased before the call looks at the time again
  OPENED = 24,        -- queues of a type with windows that are read at once: they take longer to read, and the time
                      -- often ends such a call, which has then read few of them in vain
  NEWER_TIME = 0.65,  -- share of MOST_TIME once a job with features was leased, since it takes longer to write
  AHEAD = 8,          -- jobs read at once, which bounds the payloads read beyond the byte limit
  STALE = 32,         -- members fetched at once from a queue whose jobs have expired
  BEHIND = 16,        -- queues looked at behind those whose expired jobs held up the call
  CARRIED = 1048576,  -- payload bytes of a joint call to stay below
}

local EMPTY = {}

do -- the functions below are private to this file

-- Run a few due timers, so that an ended lease becomes visible before the reaper comes. The agenda says when the first
-- timer is due (early perhaps, never late). Returns the number of leases ended.
function rounds.run_timers(tx)
  local counts = tx.counters
  if not counts.timer_at or counts.timer_at > tx.now then return 0 end
  local leased = counts.leased
  if timers.run(tx, rounds.TIMERS) > 0 then unit.go_on(tx) end
  return leased - counts.leased
end

-- Return true if windows hold back all queued jobs of a queue.
local function is_closed(tx, queue)
  return (queue.is_flagged or tx.settings) and lines.are_closed(tx, queue)
end

-- Add the turns of ids[first] to ids[last] to those of a round: one for each due queue, longest ready first. A place
-- without a waiting queue is removed. source: see rounds.lease. A queue that must wait for its rate, its hold or its
-- windows leaves the row.
local function open_turns(tx, source, ids, scores, first, last, opened)
  local now, set = tx.now, tx.own_set
  unit.read_queues(tx, ids, first, last - first + 1)
  for index = first, last do
    local queue_id = ids[index]
    local queue = tx.queues[queue_id]
    if not queue or not queue.ready_score or queue.cap_set ~= set then
      source.drop(tx, queue_id, scores[index])
    elseif now < queue.tat or queue.is_flagged and now < queue_limits.ready_at(queue) or is_closed(tx, queue) then
      queue.ready_score, queue.is_changed = scores[index], true
    else
      opened[#opened + 1] = {queue = queue, members = EMPTY, fields = EMPTY, next = 1}
    end
  end
end

-- Return the ids and the scores of up to `limit` due queues that had no turn. passed: the ids of those that had.
local function find_others(ids, scores, due, passed, limit)
  local had_turn, other_ids, other_scores = {}, {}, {}
  for index = 1, #passed do had_turn[passed[index]] = true end
  for index = 1, math.min(due, #ids) do
    if #other_ids < limit and not had_turn[ids[index]] then
      other_ids[#other_ids + 1], other_scores[#other_scores + 1] = ids[index], scores[index]
    end
  end
  return other_ids, other_scores
end

-- Fetch the next members of a turn, one share at a time: a single queue costs one range, and a hundred queues cost a
-- hundred. A queue with a weight gives several jobs in a turn.
local function fetch_members(tx, turn, share)
  local queue, last = turn.queue, turn.members[#turn.members]
  if queue.weight then share = math.max(share, queue.weight - (queue.given or 0)) end
  if share > 1 then share = queue_record.leases_allowed(queue, tx.now, share) end
  local fetched = unit.line(tx, queue, last, turn.has_expired and rounds.STALE or share)
  turn.members, turn.fields, turn.next = fetched, job_record.fields_of(queue.queue_id, fetched), 1
end

-- Read a few of the next jobs at once: those of the turns from `first` on.
local function read_ahead(tx, opened, first, share)
  local fields, count = {}, 0
  for index = first, #opened do
    local turn = opened[index]
    if turn.next > #turn.members then fetch_members(tx, turn, share) end
    for at = turn.next, #turn.members do
      if count == rounds.AHEAD then break end
      count = count + 1
      fields[count] = turn.fields[at]
    end
    if count == rounds.AHEAD then break end
  end
  if count > 0 then unit.read_jobs(tx, fields, 1, count) end
end

-- Remove a member without a record, so that it cannot block the type.
local function clear_place(tx, queue, member)
  unit.drop_place(tx, member)
  if queue.queued > 0 then
    local counts = tx.counters
    queue.queued, counts.queued, counts.cancelled = queue.queued - 1, counts.queued - 1, counts.cancelled + 1
  end
  local class = job_record.class_of_member(queue.queue_id, member)
  local line = queue.lines and queue_windows.line(queue, job_record.line_of_class(class))
  if line and line.queued > 0 then line.queued = line.queued - 1 end
  queue.is_changed = true
end

-- Put the queue of a turn behind all that are due, because more of its jobs have expired than a call removes.
local function put_behind(tx, turn)
  local queue = turn.queue
  queue.ready_score, queue.is_changed = tx.now, true
  if queue.given then queue.given = nil end
  turn.is_stuck, tx.is_stuck = true, true
end

-- Remove an expired job of a turn, and the expired ones that stand in a row behind it. Returns false if the call has
-- removed enough.
local function remove_expired(tx, turn, job, member)
  local queue, after = turn.queue, turn.fields[turn.next]
  if not expiry.remove(tx, queue, job, member) then return false end
  turn.has_expired = true
  -- Several lines are not read in the order in which they stand.
  if queue.queued == 0 or queue.is_unswept or lines.matter(tx, queue) then return true end
  if after and not expiry.may_continue(tx, tx.records[after]) then return true end
  return expiry.remove_behind(tx, turn, member)
end

-- Return the next job of a turn and its member, or nil if it has none or is stuck. Expired jobs before it, and those of
-- cancelled batches, are removed.
local function next_job(tx, opened, index, share)
  local turn, records = opened[index], tx.records
  local queue_id = turn.queue.queue_id
  while true do
    local at = turn.next
    local field = turn.fields[at]
    if not field and turn.has_expired and (turn.queue.queued == 0 or is_closed(tx, turn.queue)) then return nil end
    if not field or records[field] == nil then
      read_ahead(tx, opened, index, share)
      at = turn.next
      field = turn.fields[at]
      if not field then return nil end
    end
    turn.next = at + 1
    local member, raw = turn.members[at], records[field]
    local job = raw and job_record.unpack(queue_id, field, raw)
    if not job or job.seq ~= job_record.seq_of_member(queue_id, member) or job.state ~= QUEUED then
      clear_place(tx, turn.queue, member)
    elseif not job.newer or not transitions.is_over(tx, job.newer) then
      return job, member
    elseif not remove_expired(tx, turn, job, member) then
      return put_behind(tx, turn)
    end
  end
end

-- Return what follows a lease. knows: the byte of the demand that says what the caller can decode.
local function details(tx, job, cost, knows)
  if knows < rounds.KNOWS_LIFE then
    return knows == rounds.KNOWS_COST and cost ~= 1 and pack_bytes(rounds.COST, cost) or ''
  end
  local at, trace = job_record.expires_at(job), nil
  if job.flags >= job_record.TRACED and knows >= rounds.KNOWS_TRACE then trace = notes.trace(notes.of(tx, job)) end
  if cost == 1 and not at and job.priority == job_record.PRIORITY and not trace then return '' end
  return pack_bytes(rounds.LIFE, cost, job_record.api_priority(job), at and clock.shown(tx, at) or 0) .. (trace or '')
end

-- Lease a job until `due` (µs) and add it to the reply. knows: see details. is_flagged: that of the queue. Returns the
-- cost of the job.
local function lease_job(tx, queue, job, member, due, random, reply, knows, is_flagged)
  local counts, now, since = tx.counters, tx.now, job.due
  local cost, ready_at = job.newer and job_record.cost(job) or 1, queue.tat
  if is_flagged then ready_at = queue_limits.ready_at(queue) end
  if ready_at > since then since = ready_at end
  local number, attempt, limit = counts.lease + 1, job.attempt + 1, job.limit
  local token, payload = pack_bytes('>I8', number) .. random, job_record.payload(job)
  counts.lease, counts.minute_leased, job.token, job.attempt = number, counts.minute_leased + 1, token, attempt
  if job.flags ~= 0 then job.flags = job_record.lasting_flags(job) end
  if tx.permits then job_permits.give(tx, job) end
  queue_record.lease(queue, now, counts.minute, cost, is_flagged)
  queue.ready_score, queue.active = now, now
  transitions.lease(tx, queue, job, due, member)
  local at, queue_id = #reply, job.queue_id
  reply[at + 1], reply[at + 2], reply[at + 3] = queue_id, job_record.job_id(queue_id, job.field), payload
  local enqueued = job.enqueued
  if tx.shift then due, enqueued = clock.shown(tx, due), clock.shown(tx, enqueued) end
  reply[at + 4] = pack_bytes(rounds.LEASE, token, due, enqueued, attempt, limit < 0 and -1 or limit - attempt + 1,
    queue.queued, since < now and now - since or 0)
  if job.newer or job.priority ~= job_record.PRIORITY then
    reply[at + 4] = reply[at + 4] .. details(tx, job, cost, knows)
  end
  return cost
end

-- Count a job that a queue with a weight gave in its turn. Returns true if the turn goes on: then the queue keeps its
-- place, so that the next call continues the turn if this one ends here.
local function stays_in_turn(tx, queue, now)
  local given = (queue.given or 0) + 1
  if given >= queue.weight or queue.queued == 0 or now < queue.tat or queue_limits.is_full(queue)
    or lines.are_closed(tx, queue) then
    queue.given = nil
    return false
  end
  queue.given, queue.ready_score = given, UNMOVED
  return true
end

-- Note that a queue has no job to lease, although its record says so.
local function find_empty(tx, queue)
  queue.is_changed = true
  if not lines.matter(tx, queue) then
    queue.queued = 0
    return
  end
  lines.empty(tx, queue)
  if queue.ready_score == UNMOVED then queue.ready_score = tx.now end
end

-- Return true if a job costs more than the call may lease. The cost of the first such job is told.
local function is_left(tx, job, most_cost)
  local cost = job.newer and job_record.cost(job) or 1
  if cost <= most_cost then return false end
  tx.left_cost = tx.left_cost or cost
  return true
end

-- Serve the first `count` of the queues in rounds, up to `remaining` jobs. A turn gives one job, or as many as the
-- weight of the queue. A queue that is still due takes another turn in the next round, until it gave per_queue jobs.
-- Returns true if the payload bytes or the time ended the call, and how many jobs it could have leased more.
local function serve(tx, source, ids, scores, count, demand, remaining, reply, most_cost)
  local _, _, per_queue, lease, budget, random, after = unpack_bytes(rounds.DEMAND, demand)
  local now, due, shared, wanted, settings = tx.now, tx.now + lease, tx.shared, remaining, tx.settings
  local share = math.ceil(remaining / math.max(count, 1))
  local bytes, round, knows, time_share = 0, 1, string.byte(demand, after) or 0, 1
  local opened, last, step = {}, 0, counters.has_windows(tx.counters) and rounds.OPENED or count
  repeat
    local next_round
    local index, turns = 1, #opened
    while true do
      -- The first round opens the turns as it comes to them.
      while index > turns and last < count do
        local first = last + 1
        last = math.min(last + step, count)
        open_turns(tx, source, ids, scores, first, last, opened)
        turns = #opened
      end
      if index > turns then break end
      if remaining == 0 then return false, 0 end
      if remaining < wanted and remaining % rounds.LOOK == 0 and unit.is_spent(tx, time_share) then
        return true, remaining
      end
      local turn = opened[index]
      local queue = turn.queue
      local is_flagged = queue.is_flagged
      local job, member = next_job(tx, opened, index, share)
      if not job then
        if not turn.is_stuck then find_empty(tx, queue) end
      elseif not most_cost or not is_left(tx, job, most_cost) then
        local length = job.payload_bytes
        if remaining < wanted and bytes + length > budget
          or shared and shared.carried > 0 and shared.carried + length > rounds.CARRIED then
          return true, remaining
        end
        if settings and settings.quotas and not quotas.admit(settings, job.newer and job_record.cost(job) or 1) then
          return false, 0
        end
        local cost = lease_job(tx, queue, job, member, due, random, reply, knows, is_flagged)
        remaining, bytes = remaining - 1, bytes + length
        if job.newer then time_share = rounds.NEWER_TIME end
        if settings then
          queue.ready_score = type_settings.lease(settings, now, cost)
          if type_settings.ready_at(settings) > now then remaining = 0 end
        end
        if shared then shared.carried = shared.carried + length end
        local given = round
        if is_flagged and queue.weight then
          given = (turn.given or 0) + 1
          turn.given = given
          -- The queue comes again at once, and not in the next round.
          if stays_in_turn(tx, queue, now) and given < per_queue then index, given = index - 1, per_queue end
        end
        if queue.queued > 0 and now >= queue.tat and given < per_queue
          and not (is_flagged and queue_limits.is_full(queue)) and not is_closed(tx, queue) then
          next_round = next_round or {}
          next_round[#next_round + 1] = turn
        end
      end
      index = index + 1
    end
    opened, round = next_round, round + 1
  until not opened
  return false, remaining
end

-- Lease up to `count` jobs from due queues and add them to the reply.
-- source: where the queues stand: read(tx, limit) returns ids, scores (µs), how many are due, and when the first one
-- after these is due (nil: none); drop(tx, queue_id, score) removes a place without a waiting queue. All of the queues
-- have the cap set tx.own_set, nil for none.
-- ids, scores, due, next_due: what read returned. most_cost: leave jobs that cost more, nil for none.
-- Returns true if the payload bytes or the time ended the call, and ids, scores, due and next_due as they were read
-- last.
function rounds.lease(tx, source, demand, count, reply, ids, scores, due, next_due, most_cost)
  local first_due = math.min(due, #ids)
  local is_cut, remaining = serve(tx, source, ids, scores, first_due, demand, count, reply, most_cost)
  if tx.is_stuck and remaining == count and due > #ids then
    -- Expired jobs held up all of these queues. They stand behind the others now, or beside those that became due at
    -- this moment.
    local passed, limit = ids, math.min(count, rounds.BEHIND)
    unit.go_on(tx)
    ids, scores, due, next_due = source.read(tx, limit + #passed)
    local other_ids, other_scores = find_others(ids, scores, due, passed, limit)
    is_cut = serve(tx, source, other_ids, other_scores, #other_ids, demand, count, reply, most_cost)
  end
  return is_cut, ids, scores, due, next_due
end

-- Return the byte of a demand that says what the caller can decode.
function rounds.known(demand)
  local _, _, _, _, _, _, after = unpack_bytes(rounds.DEMAND, demand)
  return string.byte(demand, after) or 0
end

end
