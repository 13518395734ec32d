-- rescore_windows: give queues that use windows their scores in ready anew, one bounded step of a walk over the types
-- of a partition and their queues. It is needed if a window opens earlier than was known before, or if the partition's
-- time was corrected, because scores are times of the partition and windows follow the store's clock.
--
-- counters keeps the cursor, so that any node can go on. It has a generation, which grows if the walk begins anew.
--
-- Keys: ready queues counters parked capsets
-- Args: now, type (the first one that the cursor names, '' for none), cursor ('': the one that the partition keeps;
--       '0': from the start), most types or queues to look at (about), not_after (µs)
-- Reply: {0, now, ready hint, timer hint, cursor to go on with, '' at the end}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) a queue
--
-- Uses: shortcuts, windows, queue_record, type_settings, counters, unit

local rescore_windows = {}

-- Return those types of a page of counters whose queues may use windows, as a list with commas, and the next page.
local function find_types(tx, scan, count)
  local key, names = tx.keys[KEY.counters], {}
  local page = call('HSCAN', key, scan, 'COUNT', count)
  for index = 1, #page[2], 2 do
    local name = page[2][index]
    if sub(name, 1, 1) ~= ':' then
      local counts = counters.unpack(page[2][index + 1])
      local raw = counters.has_settings(counts) and call('HGET', key, type_settings.field(name))
      local settings = raw and type_settings.unpack(raw, tx.now)
      if counters.has_windows(counts) or settings and settings.window then names[#names + 1] = name end
    end
  end
  return table.concat(names, ','), page[1]
end

-- Give the queues of a page their scores. Returns the next page.
local function rescore_queues(tx, scan, count)
  local page = call('HSCAN', tx.keys[KEY.queues], scan, 'COUNT', count)
  for index = 1, #page[2], 2 do
    local queue_id = page[2][index]
    local queue = queue_record.unpack(queue_id, page[2][index + 1], tx.now)
    tx.queues[queue_id] = queue
    -- A queue whose window, or whose type's, was cleared needs a new score, too.
    if queue and queue.ready_score then
      unit.move(tx, queue)
      queue.is_changed = true
    end
  end
  return page[1]
end

-- Do a step. Returns the next cursor without its generation, or '' at the end.
local function step(tx, types_scan, queues_scan, names, count)
  if names == '' then
    names, types_scan = find_types(tx, types_scan, count)
    if names == '' and types_scan == '0' then return '' end
    return types_scan .. ':0:' .. names
  end
  queues_scan = rescore_queues(tx, queues_scan, count)
  if queues_scan == '0' then names = string.match(names, '^[^,]*,(.*)$') or '' end
  if names == '' and types_scan == '0' then return '' end
  return types_scan .. ':' .. queues_scan .. ':' .. names
end

function rescore_windows.run(tx, args)
  local type, cursor, count = args[2], args[3], tonumber(args[4])
  if not counters.open(tx, tonumber(args[5])) then return unit.expired(tx) end
  local key = tx.keys[KEY.counters]
  local reply = unit.reply(tx)
  if cursor == '0' then reply[5] = windows.begin_walk(tx) end
  local kept = call('HGET', key, windows.WALK) or ''
  local generation, types_scan, queues_scan, names = string.match(cursor, '^(%d+):(%d+):(%d+):(.*)$')
  if cursor == '0' or not generation or generation ~= string.match(kept, '^%d+')
    or type ~= string.match(names, '^[^,]*') then
    reply[5] = kept
    counters.close(tx)
    return reply
  end
  local next_cursor = step(tx, types_scan, queues_scan, names, count)
  if next_cursor == '' then
    call('HDEL', key, windows.WALK)
  else
    next_cursor = generation .. ':' .. next_cursor
    call('HSET', key, windows.WALK, next_cursor)
  end
  reply[5] = next_cursor
  return unit.close(tx, reply)
end
