-- refresh: what a shard's index needs to know of a partition. Writes nothing.
--
-- Keys: agenda counters done0 done1
-- Args: now, '', most agenda entries
-- Reply: {0, now, -1, -1, tombstones, tombstones dropped younger than promised, {entry, when, ...},
--        {type, enqueued, queued, delayed, leased, finished, dead, cancelled, ...}}
-- Entries: r<type> a queue is due, t<type> a timer is due, g the tombstones turn; each may be early, never late
-- Cost: O(types of the partition)

local refresh = {}

function refresh.run(own, args)
  local row = redis.call('HGETALL', own.keys.counters)
  local early, totals = 0, {}
  for index = 1, #row, 2 do
    if row[index] == 'early' then
      early = tonumber(row[index + 1])
    elseif string.sub(row[index], 1, 2) == 't:' then
      local values = counters.unpack_totals(row[index + 1])
      totals[#totals + 1] = string.sub(row[index], 3)
      for _, name in ipairs(counters.NAMES) do totals[#totals + 1] = values[name] end
    end
  end
  local agenda = redis.call('ZRANGE', own.keys.agenda, 0, tonumber(args[3]) - 1, 'WITHSCORES')
  for index = 2, #agenda, 2 do agenda[index] = tonumber(agenda[index]) end
  return {0, own.now, -1, -1, redis.call('HLEN', own.keys.done0) + redis.call('HLEN', own.keys.done1), early, agenda,
    totals}
end
