-- reap: run due timers: end leases, make delayed jobs ready, forget idle queues, drop old dead letters, sweep.
--
-- Keys: ready queued jobs timers queues agenda counters done0 done1 deadjobs dead
-- Args: now, type, most timers to run, retention of dead letters (µs), most dead letters to keep here
-- Reply: {0, now, ready hint, next timer or -1, timers run, deleted jobs removed and excess letters dropped,
--        leases ended, jobs that became dead letters}
-- Cost: O(log n) a timer, and as many deleted jobs and dead letters at the most

local reap = {}

function reap.run(own, args)
  local limit, retention, keep = tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
  counters.open(own)
  local leased = own.counters.totals.leased
  local handled = timers.run(own, limit, retention)
  local ended, died = leased - own.counters.totals.leased, own.died
  unit.flush(own)
  local excess = redis.call('ZCARD', own.keys.dead) - keep
  handled = handled + dead_letters.drop(own, math.huge, math.min(excess, limit))
  local reply = unit.close(own, {0, own.now, -1, -1})
  local head = redis.call('ZRANGE', own.keys.timers, 0, 0, 'WITHSCORES')[2]
  if head then
    redis.call('ZADD', own.keys.agenda, head, 't' .. own.type)
  else
    redis.call('ZREM', own.keys.agenda, 't' .. own.type)
  end
  if counters.is_blank(own) and redis.call('HLEN', own.keys.queues) == 0 then
    redis.call('HDEL', own.keys.counters, 't:' .. own.type)
  end
  reply[4], reply[5], reply[6], reply[7] = head and tonumber(head) or -1, handled, ended, died
  return reply
end
