-- refresh: what a shard's index needs to know of a partition. Writes nothing.
--
-- Keys: counters done0 done1
-- Args: now, '', most agenda entries
-- Reply: {0, now, -1, -1, tombstones, tombstones dropped younger than promised, {entry, when, ...},
--        {type, enqueued, queued, delayed, leased, finished, dead, cancelled, ...}}
-- Entries: r<type> a queue is due, t<type> a timer is due, g the tombstones turn; each may be early, never late; the
--        earliest come first
-- Cost: O(n log n) of the types of the partition

local refresh = {}

local function is_earlier(left, right)
  return left.at < right.at
end

-- The earliest entries of the agenda, flat.
local function flatten(agenda, limit)
  table.sort(agenda, is_earlier)
  local flat = {}
  for index = 1, math.min(#agenda, limit) do
    flat[2 * index - 1], flat[2 * index] = agenda[index].name, agenda[index].at
  end
  return flat
end

local function add_type(agenda, counts, name, totals)
  if totals.ready_at then agenda[#agenda + 1] = {name = 'r' .. name, at = totals.ready_at} end
  if totals.timer_at then agenda[#agenda + 1] = {name = 't' .. name, at = totals.timer_at} end
  if totals.enqueued == 0 then return end
  counts[#counts + 1] = name
  for _, total in ipairs(counters.NAMES) do counts[#counts + 1] = totals[total] end
end

function refresh.run(own, args)
  local row = redis.call('HGETALL', own.keys[KEY.counters])
  local early, agenda, counts = 0, {}, {}
  for index = 1, #row, 2 do
    local name, value = row[index], row[index + 1]
    if name == 'early' then
      early = tonumber(value)
    elseif name == 'turn' then
      agenda[#agenda + 1] = {name = 'g', at = tonumber(value)}
    elseif string.sub(name, 1, 2) == 't:' then
      add_type(agenda, counts, string.sub(name, 3), counters.unpack_totals(value))
    end
  end
  local stones = redis.call('HLEN', own.keys[KEY.done0]) + redis.call('HLEN', own.keys[KEY.done1])
  return {0, own.now, -1, -1, stones, early, flatten(agenda, tonumber(args[3])), counts}
end
