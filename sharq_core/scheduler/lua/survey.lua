-- survey: return what a shard's index needs to know of a partition: the number of its types, the changes by other
-- nodes, and a page of the types. Writes nothing.
--
-- Keys: counters done0 done1
-- Args: now, '', number of touches known (-1: report none), scan ('0' at first), approximate number of types to page
--       (0: none), most tombstones of a generation
-- Reply: {0, now, -1, -1, number of tombstones, number of tombstones dropped younger than promised, when the tombstones
--        turn (µs) or -1, number of fields of counters, number of touches, 1 if some touched types are not named,
--        {touched type, row or '', ...}, scan to continue with ('0' at the end), {type, row, ...},
--        id of the partition's data set or '', number and shift (µs) of the partition's time, how long ago it was last
--        seen (µs) or -1 if it has no record, bytes of the results of finished jobs, number of results dropped for
--        their memory, when the oldest result came (µs; early perhaps) or -1}
--        Rows are the bytes of counters.row; their times are the partition's. A whole scan of one server returns every
--        type that exists throughout at least once
-- Cost: O(1), O(types of the page), and O(64) if something was touched
--
-- Uses: shortcuts, clock, counters, touched, tombstones, results, identity

local survey = {}

-- Return the types that other nodes changed after `touches_known` touches, with their rows, and 1 if some may be
-- missing.
local function read_touched(tx, touches_known, touches)
  local rows, is_cut = {}, 0
  if touches_known < 0 or touches == touches_known then return rows, is_cut end
  if touches < touches_known then return rows, 1 end
  local names = {}
  for _, entry in ipairs(touched.entries(tx)) do
    if entry.number > touches_known and entry.type ~= '' then names[#names + 1] = entry.type end
    if entry.lost > touches_known then is_cut = 1 end
  end
  if #names == 0 then return rows, is_cut end
  local raws = call('HMGET', tx.keys[KEY.counters], unpack(names))
  for index, name in ipairs(names) do
    rows[2 * index - 1], rows[2 * index] = name, raws[index] and counters.row(raws[index]) or ''
  end
  return rows, is_cut
end

-- Return the next scan and the types of the page with their rows.
local function read_page(tx, scan, count)
  if count == 0 then return '0', {} end
  local page = call('HSCAN', tx.keys[KEY.counters], scan, 'COUNT', count)
  local entries, rows, at = page[2], {}, 0
  for index = 1, #entries, 2 do
    local name = entries[index]
    if sub(name, 1, 1) ~= ':' then
      rows[at + 1], rows[at + 2] = name, counters.row(entries[index + 1])
      at = at + 2
    end
  end
  return page[1], rows
end

function survey.run(tx, args, first)
  local number, _, seen = clock.read(tx)
  local key = tx.keys[KEY.counters]
  local touches_known = tonumber(args[first])
  local heads = call('HMGET', key, tombstones.DROPPED_YOUNG, tombstones.TURN_AT, touched.COUNT, identity.FIELD,
    results.FIELD)
  local count, count_old = call('HLEN', tx.keys[KEY.done0]), call('HLEN', tx.keys[KEY.done1])
  local turn_at = heads[2] and tonumber(heads[2])
  turn_at = tombstones.next_turn(tx, count, count_old, turn_at, tonumber(args[first + 3]))
  local touches = tonumber(heads[3] or 0)
  local changed, is_cut = read_touched(tx, touches_known, touches)
  local result_bytes, evicted, oldest = results.unpack(heads[5])
  local scan, rows = read_page(tx, args[first + 1], tonumber(args[first + 2]))
  return {0, clock.store_time(tx), -1, -1, count + count_old, tonumber(heads[1] or 0),
    turn_at and clock.shown(tx, turn_at) or -1, call('HLEN', key), touches, is_cut, changed, scan, rows,
    heads[4] or '', number, tx.shift or 0, seen > 0 and tx.now - seen or -1, result_bytes, evicted,
    oldest > 0 and clock.shown(tx, oldest) or -1}
end
