-- get_type_stats: return the settings and the statistics of a type in a partition. Writes nothing.
--
-- Keys: ready timers queues counters parked capsets
-- Args: now, type, and '1' for the defaults of the lives of jobs, which nodes of revision 4 cannot decode, or '2' for
--       those and the settings of campaigns, which nodes of revision 5 cannot decode, or '3' for those and caps as a
--       reason, which nodes of revision 9 cannot decode
-- Reply: {0, now, -1, -1, 1 if the type is paused else 0, most leased jobs (0: any number), end of its hold (µs) or -1,
--        queued, delayed, leased, dead, number of queue records, reason why nothing is leased (blocked_by.lua), time
--        until a queue may be leased from (µs) or -1, then the defaults of the lives of jobs (queue_stats.add_life), if
--        asked for, then the settings of campaigns, if asked for: the name of the window ('' for none), number of
--        quotas, and for each: unit (1 job, 2 cost), quota, period (d day, h hour), tz, used, end of its period (µs) or
--        -1 if it is not known; then, if asked for, the names of the caps that are the reason (cap_sets.lua), '' for
--        none; then for each limit: unit (1 job, 2 cost), interval (µs), burst in hundredths}
-- Cost: as explain
--
-- Uses: counters, type_stats

local get_type_stats = {}

function get_type_stats.run(tx, args, first, length)
  local counts = counters.see(tx)
  return type_stats.reply(tx, counts, length > 0, length > 0 and args[first] >= '2', args[first] == '3')
end
