-- refresh: return what a shard's index needs to know of a partition, all types at once. Writes nothing. Only nodes of
-- revision 1, which may run beside newer ones, call it. Newer nodes read bounded pages (survey.lua).
--
-- Keys: counters done0 done1
-- Args: now, '', most agenda entries, most tombstones of a generation
-- Reply: {0, now, -1, -1, number of tombstones, number of tombstones dropped younger than promised,
--        {entry, time (µs), ...}, {type, enqueued, queued, delayed, leased, finished, dead, cancelled, ...},
--        number and shift (µs) of the partition's time, how long ago it was last seen (µs) or -1 if it has no record,
--        id of the partition's data set or ''}
-- Entries: r<type> a queue is due, t<type> a timer is due, g the tombstones turn. Each may be early, never late. The
--          earliest come first
-- Cost: O(n log n) of the types of the partition
--
-- Uses: shortcuts, clock, counters, tombstones, identity

local refresh = {}

local function is_earlier(left, right)
  return left.at < right.at
end

-- Return the earliest entries of the agenda as a flat list.
local function flatten(tx, agenda, limit)
  table.sort(agenda, is_earlier)
  local flat = {}
  for index = 1, math.min(#agenda, limit) do
    flat[2 * index - 1], flat[2 * index] = agenda[index].name, clock.shown(tx, agenda[index].at)
  end
  return flat
end

-- Add a type to the agenda and to the totals.
local function add_type(agenda, totals, name, counts)
  if counts.ready_at then agenda[#agenda + 1] = {name = 'r' .. name, at = counts.ready_at} end
  if counts.timer_at then agenda[#agenda + 1] = {name = 't' .. name, at = counts.timer_at} end
  if counts.enqueued == 0 then return end
  totals[#totals + 1] = name
  for _, total in ipairs(counters.NAMES) do totals[#totals + 1] = counts[total] end
end

function refresh.run(tx, args, first)
  local number, _, seen = clock.read(tx)
  local row = call('HGETALL', tx.keys[KEY.counters])
  local dropped_young, turn_at, id = 0, nil, ''
  local agenda, totals = {}, {}
  for index = 1, #row, 2 do
    local name, value = row[index], row[index + 1]
    if name == tombstones.DROPPED_YOUNG then
      dropped_young = tonumber(value)
    elseif name == tombstones.TURN_AT then
      turn_at = tonumber(value)
    elseif name == identity.FIELD then
      id = value
    elseif sub(name, 1, 1) ~= ':' then
      add_type(agenda, totals, name, counters.unpack(value))
    end
  end
  local count, count_old = call('HLEN', tx.keys[KEY.done0]), call('HLEN', tx.keys[KEY.done1])
  turn_at = tombstones.next_turn(tx, count, count_old, turn_at, tonumber(args[first + 1]))
  if turn_at then agenda[#agenda + 1] = {name = 'g', at = turn_at} end
  return {0, clock.store_time(tx), -1, -1, count + count_old, dropped_young,
    flatten(tx, agenda, tonumber(args[first])), totals, number, tx.shift or 0, seen > 0 and tx.now - seen or -1, id}
end
