-- reap: run due timers: end leases, make delayed jobs ready, forget idle queues, drop old dead letters, sweep.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, most timers to run, retention of dead letters (µs), most dead letters to keep here
-- Reply: {0, now, ready hint, next timer or -1, timers run, deleted jobs removed and excess letters dropped,
--        leases ended, jobs that became dead letters}
-- Cost: O(log n) a timer, and as many deleted jobs and dead letters at the most

local reap = {}

-- Drops letters above the bound. The agenda says exactly when the type's next timer is due. Returns letters dropped.
local function settle(own, limit, keep)
  local excess = call('ZCARD', own.keys[KEY.dead]) - keep
  local dropped = dead_letters.drop(own, math.huge, math.min(excess, limit))
  own.timer_hint = false
  own.counters.timer_at = tonumber(call('ZRANGE', own.keys[KEY.timers], 0, 0, 'WITHSCORES')[2])
  return dropped
end

function reap.run(own, args)
  local limit, retention, keep = tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
  counters.open(own)
  local leased = own.counters.leased
  local handled = timers.run(own, limit, retention)
  local ended = leased - own.counters.leased
  unit.go_on(own)
  handled = handled + settle(own, limit, keep)
  local reply = unit.close(own, {0, own.now, -1, -1})
  counters.drop_blank(own)
  reply[4], reply[5], reply[6], reply[7] = own.counters.timer_at or -1, handled, ended, own.died or 0
  return reply
end
