-- refresh: what a shard's index needs to know of a partition, all types at once. Writes nothing. It is there for nodes of
-- revision 1, which may run beside newer ones; those read bounded pages (survey.lua).
--
-- Keys: counters done0 done1
-- Args: now, '', most agenda entries, most tombstones of a generation
-- Reply: {0, now, -1, -1, tombstones, tombstones dropped younger than promised, {entry, when, ...},
--        {type, enqueued, queued, delayed, leased, finished, dead, cancelled, ...},
--        number and shift of the partition's time, how long ago it was last seen (µs), -1 when it has no record,
--        id of the data set that the partition belongs to, '' for none}
-- Entries: r<type> a queue is due, t<type> a timer is due, g the tombstones turn; each may be early, never late; the
--        earliest come first
-- Cost: O(n log n) of the types of the partition

local refresh = {}

local function is_earlier(left, right)
  return left.at < right.at
end

-- The earliest entries of the agenda, flat.
local function flatten(own, agenda, limit)
  table.sort(agenda, is_earlier)
  local flat = {}
  for index = 1, math.min(#agenda, limit) do
    flat[2 * index - 1], flat[2 * index] = agenda[index].name, clock.shown(own, agenda[index].at)
  end
  return flat
end

local function add_type(agenda, totals, name, counts)
  if counts.ready_at then agenda[#agenda + 1] = {name = 'r' .. name, at = counts.ready_at} end
  if counts.timer_at then agenda[#agenda + 1] = {name = 't' .. name, at = counts.timer_at} end
  if counts.enqueued == 0 then return end
  totals[#totals + 1] = name
  for _, total in ipairs(counters.NAMES) do totals[#totals + 1] = counts[total] end
end

function refresh.run(own, args, first)
  local number, _, seen = clock.read(own)
  local row = call('HGETALL', own.keys[KEY.counters])
  local early, turn, agenda, totals, id = 0, nil, {}, {}, ''
  for index = 1, #row, 2 do
    local name, value = row[index], row[index + 1]
    if name == ':early' then
      early = tonumber(value)
    elseif name == ':turn' then
      turn = tonumber(value)
    elseif name == identity.FIELD then
      id = value
    elseif sub(name, 1, 1) ~= ':' then
      add_type(agenda, totals, name, counters.unpack(value))
    end
  end
  local stones, old = call('HLEN', own.keys[KEY.done0]), call('HLEN', own.keys[KEY.done1])
  turn = tombstones.next_turn(own, stones, old, turn, tonumber(args[first + 1]))
  if turn then agenda[#agenda + 1] = {name = 'g', at = turn} end
  return {0, clock.told(own), -1, -1, stones + old, early, flatten(own, agenda, tonumber(args[first])), totals, number,
    own.shift or 0, seen > 0 and own.now - seen or -1, id}
end
