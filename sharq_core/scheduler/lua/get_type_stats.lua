-- get_type_stats: return the settings and the statistics of a type in a partition. Writes nothing.
--
-- Keys: ready timers queues counters
-- Args: now, type
-- Reply: {0, now, -1, -1, 1 if the type is paused else 0, most leased jobs (0: any number), end of its hold (µs) or -1,
--        queued, delayed, leased, dead, number of queue records, reason why nothing is leased (blocked_by.lua), time
--        until a queue may be leased from (µs) or -1, then for each limit: unit (1 job, 2 cost), interval (µs), burst
--        in hundredths}
-- Cost: O(log n), and O(100) if all queues with jobs are paused or full
--
-- Uses: shortcuts, clock, type_settings, counters, explanation

local get_type_stats = {}

-- Return the reply. counts: nil for none.
function get_type_stats.reply(tx, counts)
  local settings, reason, ready_in = tx.settings or type_settings.new(), explanation.of(tx, counts)
  counts = counts or {queued = 0, delayed = 0, leased = 0, dead = 0}
  local held_until = settings.held_until > tx.now and clock.shown(tx, settings.held_until) or -1
  local reply = {0, clock.told(tx), -1, -1, settings.is_paused and 1 or 0, settings.max_leased, held_until,
    counts.queued, counts.delayed, counts.leased, counts.dead, call('HLEN', tx.keys[KEY.queues]), reason, ready_in}
  for _, limit in ipairs(settings.limits) do
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = limit.unit, limit.interval, limit.burst
  end
  return reply
end

function get_type_stats.run(tx)
  local counts = counters.see(tx)
  return get_type_stats.reply(tx, counts)
end
