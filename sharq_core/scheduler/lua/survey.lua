-- survey: what a shard learns of a partition at a look: how many types it has, what other nodes changed, and a page of
-- the types. Writes nothing.
--
-- Keys: counters done0 done1
-- Args: now, '', touches known so far (-1: none is news), scan ('0' at first), about how many types to page
--       (0: none), most tombstones of a generation
-- Reply: {0, now, -1, -1, tombstones, tombstones dropped younger than promised, when the tombstones turn or -1, fields of
--        counters, touches, 1 when more was touched than is named, {touched type, row or '', ...},
--        scan to go on with ('0' at the end), {type, row, ...}, id of the data set that the partition belongs to, '' for
--        none, number and shift of the partition's time, how long ago it was last seen (µs), -1 when it has no record}
-- Rows are the bytes that counters.row gives, with times of the partition. A whole scan of one server names every type that is there throughout, once
-- or more.
-- Cost: O(1), O(types of the page), and O(64) when something was touched

local survey = {}

-- Types that other nodes changed after `known` touches, with their rows; and whether some may be missing.
local function read_touched(own, known, touches)
  local rows, is_cut = {}, 0
  if known < 0 or touches == known then return rows, is_cut end
  if touches < known then return rows, 1 end
  local names = {}
  for _, entry in ipairs(touched.entries(own)) do
    if entry.number > known and entry.type ~= '' then names[#names + 1] = entry.type end
    if entry.lost > known then is_cut = 1 end
  end
  if #names == 0 then return rows, is_cut end
  local raws = call('HMGET', own.keys[KEY.counters], unpack(names))
  for index, name in ipairs(names) do
    rows[2 * index - 1], rows[2 * index] = name, raws[index] and counters.row(raws[index]) or ''
  end
  return rows, is_cut
end

-- The next types of the scan with their rows.
local function read_page(own, scan, count)
  if count == 0 then return '0', {} end
  local page = call('HSCAN', own.keys[KEY.counters], scan, 'COUNT', count)
  local found, rows, at = page[2], {}, 0
  for index = 1, #found, 2 do
    local name = found[index]
    if sub(name, 1, 1) ~= ':' then
      rows[at + 1], rows[at + 2] = name, counters.row(found[index + 1])
      at = at + 2
    end
  end
  return page[1], rows
end

function survey.run(own, args, first)
  local number, _, seen = clock.read(own)
  local key = own.keys[KEY.counters]
  local known = tonumber(args[first])
  local heads = call('HMGET', key, ':early', ':turn', touched.COUNT, identity.FIELD)
  local stones, old = call('HLEN', own.keys[KEY.done0]), call('HLEN', own.keys[KEY.done1])
  local turn = tombstones.next_turn(own, stones, old, heads[2] and tonumber(heads[2]), tonumber(args[first + 3]))
  local touches = tonumber(heads[3] or 0)
  local changed, is_cut = read_touched(own, known, touches)
  local scan, rows = read_page(own, args[first + 1], tonumber(args[first + 2]))
  return {0, clock.told(own), -1, -1, stones + old, tonumber(heads[1] or 0), turn and clock.shown(own, turn) or -1, call('HLEN', key), touches, is_cut,
    changed, scan, rows, heads[4] or '', number, own.shift or 0, seen > 0 and own.now - seen or -1}
end
