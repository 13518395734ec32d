-- change_job: change a queued or delayed job. It keeps its place in its queue, unless the call gives it a new priority,
-- or a new delay or time: then it goes to the end of its priority.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, terms (unit.TERMS), queue_id, field (queue_id:job_id), change (CHANGE), payload, and '2' for the job
--       with its progress, which nodes of revision 5 cannot decode, '3' with its trace, too, which nodes of revision 7
--       cannot decode, or '4' with the reason why it waits, too, which nodes of revision 14 cannot decode
-- Reply: {0, now, ready hint, timer hint, status, and, if it is done: the job (job_status.add)}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 done, 1 not found, 2 not waiting: leased, finished, dead, cancelled or expired, 3 the job would expire
--           before it is due; only 0 changed anything
-- Cost: O(log n)
--
-- Uses: shortcuts, clock, job_record, queue_life, counters, unit, remembered, job_status, queue_walk, transitions

local change_job = {
  DONE = 0, NOT_FOUND = 1, NOT_WAITING = 2, EXPIRES_EARLY = 3,
  -- which fields are given (flags below), delay (µs), time (µs, the store's clock; 0: after the delay), priority of the
  -- API, cost, when it expires (EXPIRY of enqueue_job.lua: 0 never, 1 after a time from now, 2 at a time), when (µs)
  CHANGE = '>BI8I8BI4BI8',
  PAYLOAD = 1, DUE = 2, PRIORITY = 4, COST = 8, EXPIRY = 16,
  AFTER = 1, AT = 2,
}

local function unpack_change(raw, payload)
  local flags, delay, at, priority, cost, expiry_rule, expires = unpack_bytes(change_job.CHANGE, raw)
  local function is_given(flag) return flags % (2 * flag) >= flag end
  return {payload = is_given(change_job.PAYLOAD) and payload, delay = is_given(change_job.DUE) and delay, at = at,
    priority = is_given(change_job.PRIORITY) and priority, cost = is_given(change_job.COST) and cost,
    expiry = is_given(change_job.EXPIRY) and expiry_rule, expires = expires}
end

-- Give the rarely used fields of a job a new expiry. A job that gets one for the first time takes the fate of its queue
-- or of its gathered type.
local function set_expiry(tx, queue, rare, change)
  local settings, had = tx.settings, rare.expires_at
  if change.expiry == change_job.AFTER then
    rare.expires_at = tx.now + change.expires
  elseif change.expiry == change_job.AT then
    rare.expires_at = clock.partition_time(tx, change.expires)
  else
    rare.expires_at, rare.is_dropped = nil, nil
    return
  end
  if not had then
    rare.is_dropped = (queue.on_expiry or settings and settings.on_expiry) == queue_life.DROPPED
  end
end

-- Apply a change to a waiting job. Returns false if it would expire before it is due.
local function apply(tx, queue, job, change)
  local member, rare, due = job_record.member(job), job_record.rare(job), nil
  if change.delay then due = change.at > 0 and clock.partition_time(tx, change.at) or tx.now + change.delay end
  if change.expiry then set_expiry(tx, queue, rare, change) end
  if (due or change.expiry) and rare.expires_at
    and rare.expires_at <= math.max(due or job.state == DELAYED and job.due or 0, tx.now) then return false end
  if change.cost and change.cost ~= rare.cost then
    -- The newest lease took the old cost, so its late report must not be compared with the new one.
    rare.cost = change.cost
    if job.token then job_record.mark(job, job_record.CORRECTED) end
  end
  job.newer = job_record.pack_rare(rare)
  if change.payload then job.payload, job.payload_bytes = change.payload, #change.payload end
  if change.priority then
    local priority = job_record.priority_byte(change.priority)
    -- With a new time the job has a new place, which walks under way need not meet.
    if priority < job.priority and job.state == QUEUED and not due then queue_walk.note_move(tx) end
    job.priority = priority
  end
  transitions.change(tx, queue, job, member, due)
  return true
end

local function change_one(tx, queue_id, field, change, retention, dead_retention)
  local queue, job = unit.queue(tx, queue_id), unit.job(tx, queue_id, field)
  local is_deleted = job and unit.is_deleted(queue, job)
  if not job or not queue or is_deleted then
    local state = remembered.find(tx, queue_id, field, is_deleted and job, retention, dead_retention)
    return state and change_job.NOT_WAITING or change_job.NOT_FOUND
  end
  if job.state == LEASED or transitions.is_over(tx, job.newer) then return change_job.NOT_WAITING end
  if not apply(tx, queue, job, change) then return change_job.EXPIRES_EARLY end
  unit.touch(tx, queue)
  return change_job.DONE, queue, job
end

function change_job.run(tx, args)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[3])
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  local status, queue, job = change_one(tx, args[4], args[5], unpack_change(args[6], args[7]), retention,
    dead_retention)
  local reply = unit.reply(tx, status)
  if status ~= change_job.DONE then return unit.close(tx, reply) end
  unit.flush(tx)
  job_status.ask(tx, args[8])
  job_status.add(tx, reply, job, job.state == QUEUED and job_status.position(tx, queue, job) or 0)
  return unit.close_counters(tx, reply)
end
