-- reap: run due timers: end leases, make delayed jobs ready, remove expired jobs, forget idle queues, drop old dead
-- letters, sweep deleted queues.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, most timers to run, retention of dead letters (µs), most dead letters to keep, not_after (µs), and
--       '1' if the caller can decode the numbers of expired jobs, '2' if it also asks about ended batches, or '3' if it
--       also asks about the permits of leases that ended, then optionally the time that walks may take (unit.is_spent,
--       µs)
-- Reply: {0, now, ready hint, next timer (µs) or -1, sum of timers run, deleted jobs removed and excess dead letters
--        dropped, leases ended, jobs that became dead letters at their limit, and, if asked for, jobs that expired and
--        those of them that were dropped, then, if the caller asks about permits, the number of the following ids, then
--        the ids of batches that ended a retention ago in this partition, then the permits of each lease that ended
--        (job_permits.lua), which are told once}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) a timer, and at most as many deleted jobs, twice as many waiting ones, and as many dead letters
--
-- Uses: shortcuts, timer_kinds, clock, counters, dead_letters, unit, timers

local reap = {}

-- Return the type's next timer (µs), or nil. The timer of dead letters is removed if there are none: they may have been
-- dropped or redriven long before their retention ended, and a type with nothing else must be able to go.
local function next_timer(tx, has_dead_letters)
  local key = tx.keys[KEY.timers]
  local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if head[1] == LETTERS_TIMER and not has_dead_letters then
    call('ZREM', key, LETTERS_TIMER)
    head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  end
  return tonumber(head[2])
end

-- Drop the dead letters above the limit, and set the agenda to the exact time of the type's next timer. If there are
-- more than a call drops, their timer calls the next reap. Returns how many dead letters were dropped.
local function settle(tx, limit, keep)
  local dead_letter_count = call('ZCARD', tx.keys[KEY.dead])
  local dropped = dead_letters.drop(tx, '-inf', '+inf', math.min(dead_letter_count - keep, limit))
  if dropped > 0 and dead_letter_count - dropped > keep then
    call('ZADD', tx.keys[KEY.timers], tx.now, LETTERS_TIMER)
  end
  tx.timer_hint = false
  tx.counters.timer_at = next_timer(tx, dead_letter_count > dropped)
  return dropped
end

function reap.run(tx, args)
  local limit, retention, keep = tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
  if not counters.open(tx, tonumber(args[6])) then return unit.expired(tx) end
  local leased = tx.counters.leased
  unit.limit_time(tx, tonumber(args[8]))
  local settled = args[7] == '3' and {} or nil
  local ended_batches = (settled or args[7] == '2') and {} or nil
  local handled = timers.run(tx, limit, retention, ended_batches, settled)
  local ended = leased - tx.counters.leased
  unit.go_on(tx)
  handled = handled + settle(tx, limit, keep)
  local reply = unit.close(tx, {0, clock.store_time(tx), -1, -1})
  counters.drop_blank(tx)
  local timer_at = tx.counters.timer_at
  reply[4], reply[5] = timer_at and clock.shown(tx, timer_at) or -1, handled
  reply[6], reply[7] = ended, tx.died or 0
  if args[7] then reply[8], reply[9] = tx.expired or 0, tx.dropped or 0 end
  if settled then reply[10] = #ended_batches end
  for _, id in ipairs(ended_batches or {}) do reply[#reply + 1] = id end
  for _, raw in ipairs(settled or {}) do reply[#reply + 1] = raw end
  return reply
end
