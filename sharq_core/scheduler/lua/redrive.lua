-- redrive: queue dead letters again, at the end of their queues, with attempts from 0. They keep their priority,
-- cost, retry policy, window and trace, and no longer expire. A queue that was forgotten gets the rate, the limit of
-- leases and the caps that it had when the first of them died. No queue length limit applies.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, retention of dead letters (µs), then for each dead letter: queue_id, field (queue_id:job_id), then
--       optionally not_after (µs)
-- Reply: {0, now, ready hint, timer hint, then for each dead letter: status}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 queued, 1 duplicate (a live job has this id), 2 not found, 3 the queue has waiting or leased jobs of too
--           many windows, 4 its batch is cancelled; only 0 changed anything
-- Cost: O(log n) a dead letter
--
-- Uses: clock, job_record, notes, lines, counters, batches, dead_letters, unit, transitions

local redrive = {QUEUED = 0, DUPLICATE = 1, NOT_FOUND = 2, NO_ROOM = 3, BATCH_CANCELLED = 4}

local function redrive_one(tx, queue_id, field, retention)
  local dead_letter = tx.taken[field] == nil and dead_letters.find(tx, queue_id, field, retention)
  if not dead_letter then return redrive.NOT_FOUND end
  local queue = unit.queue(tx, queue_id)
  local live = unit.job(tx, queue_id, field)
  if live and not unit.is_deleted(queue, live) then return redrive.DUPLICATE end
  local batch = batches.of(tx, dead_letter.newer)
  if batch and batches.is_cancelled(batch) then return redrive.BATCH_CANCELLED end
  local rare = job_record.rare(dead_letter)
  if rare.window and queue then
    rare.line = lines.take(tx, queue, rare.window)
    if not rare.line then return redrive.NO_ROOM end
  end
  if live then transitions.clear_deleted(tx, live) end
  if not queue then
    queue = unit.new_queue(tx, queue_id)
    dead_letters.restore_limits(queue, dead_letter)
    if dead_letter.caps then unit.set_caps(tx, queue, dead_letter.caps) end
    if rare.window then rare.line = lines.take(tx, queue, rare.window) end
  end
  tx.taken[field] = true
  tx.fields[#tx.fields + 1] = field
  tx.counters.dead = tx.counters.dead - 1
  rare.expires_at, rare.is_dropped, rare.is_noted = nil, nil, nil
  local trace = notes.trace(dead_letter.note)
  if batch then batches.count(tx, queue_id, dead_letter.newer, 'dead', -1) else rare.batch = nil end
  local newer = job_record.pack_rare(rare)
  if trace then newer = notes.begin(tx, field, trace, newer) end
  transitions.add(tx, queue, field, dead_letter.priority, dead_letter.limit, tx.now, job_record.payload(dead_letter),
    newer)
  return redrive.QUEUED
end

function redrive.run(tx, args)
  local has_deadline = #args % 2 == 0
  if not counters.open(tx, has_deadline and tonumber(args[#args])) then return unit.expired(tx) end
  tx.taken, tx.fields = {}, {}
  local reply = {0, clock.store_time(tx), -1, -1}
  for at = 4, has_deadline and #args - 1 or #args, 2 do
    reply[#reply + 1] = redrive_one(tx, args[at], args[at + 1], tonumber(args[3]))
  end
  if #tx.fields > 0 then dead_letters.remove(tx, tx.fields) end
  return unit.close(tx, reply)
end
