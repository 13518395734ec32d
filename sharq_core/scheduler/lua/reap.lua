-- reap: run due timers: end leases, make delayed jobs ready, forget idle queues, drop old dead letters, sweep.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, most timers to run, retention of dead letters (µs), most dead letters to keep here,
--       not_after (µs)
-- Reply: {0, now, ready hint, next timer or -1, timers run, deleted jobs removed and excess letters dropped,
--        leases ended, jobs that became dead letters}
--        or {1, now, -1, -1} when it came after not_after: nothing was done
-- Cost: O(log n) a timer, and as many deleted jobs and dead letters at the most

local reap = {}

-- The type's next timer. That of dead letters goes when there are none: they may have been dropped or redriven long
-- before their retention ended, and a type without anything else is to go.
local function next_timer(own, has_letters)
  local key = own.keys[KEY.timers]
  local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if head[1] == 'X' and not has_letters then
    call('ZREM', key, 'X')
    head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  end
  return tonumber(head[2])
end

-- Drops letters above the bound. The agenda says exactly when the type's next timer is due. Returns letters dropped.
local function settle(own, limit, keep)
  local letters = call('ZCARD', own.keys[KEY.dead])
  local dropped = dead_letters.drop(own, '-inf', '+inf', math.min(letters - keep, limit))
  own.timer_hint = false
  own.counters.timer_at = next_timer(own, letters > dropped)
  return dropped
end

function reap.run(own, args)
  local limit, retention, keep = tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
  if unit.is_late_by(own, args[6]) then return unit.expired(own) end
  counters.open(own)
  local leased = own.counters.leased
  local handled = timers.run(own, limit, retention)
  local ended = leased - own.counters.leased
  unit.go_on(own)
  handled = handled + settle(own, limit, keep)
  local reply = unit.close(own, {0, clock.told(own), -1, -1})
  counters.drop_blank(own)
  local timer_at = own.counters.timer_at
  reply[4], reply[5] = timer_at and clock.shown(own, timer_at) or -1, handled
  reply[6], reply[7] = ended, own.died or 0
  return reply
end
