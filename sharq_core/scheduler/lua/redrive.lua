-- redrive: queue dead letters again, at the end of their queues, attempts from 0; no cap applies.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, retention of dead letters (µs), then two a letter: queue_id, queue_id:job_id
-- Reply: {0, now, ready hint, timer hint, status for each letter}
-- Statuses: 0 queued, 1 duplicate (a live job has this id), 2 not found; 1 and 2 changed nothing
-- Cost: O(log n) a letter

local redrive = {QUEUED = 0, DUPLICATE = 1, NOT_FOUND = 2}

local function redrive_one(own, queue_id, field, retention)
  local letter = own.taken[field] == nil and dead_letters.find(own, queue_id, field, retention)
  if not letter then return redrive.NOT_FOUND end
  local queue = unit.queue(own, queue_id)
  local live = unit.job(own, queue_id, field)
  if live and not unit.is_deleted(queue, live) then return redrive.DUPLICATE end
  if live then transitions.clear_deleted(own, live) end
  if not queue then
    queue = unit.new_queue(own, queue_id)
    queue.interval, queue.burst = letter.interval, letter.burst
  end
  own.taken[field] = true
  own.counters.dead = own.counters.dead - 1
  transitions.add(own, queue, field, letter.limit, own.now, job_record.payload(letter))
  return redrive.QUEUED
end

function redrive.run(own, args)
  counters.open(own)
  own.taken = {}
  local reply = {0, clock.told(own), -1, -1}
  for at = 4, #args, 2 do
    reply[#reply + 1] = redrive_one(own, args[at], args[at + 1], tonumber(args[3]))
  end
  for field in pairs(own.taken) do dead_letters.take(own, field) end
  return unit.close(own, reply)
end
