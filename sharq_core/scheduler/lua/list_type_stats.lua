-- list_type_stats: return a page of the types of a partition with their numbers. Writes nothing.
--
-- Keys: counters
-- Args: now, '', scan ('0' at first), approximate number of types to read
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), then for each type: type, queued, delayed, leased,
--        dead, jobs enqueued and leased in the last full minute, reason why nothing is leased (blocked_by.lua)}
--        The reason comes from the counts alone. 0 may also mean that the queues with jobs are now paused or full, or
--        that their caps hold them back; 13 may be a hold or a closed window of the queue that comes first, and 11 its
--        pause
-- Cost: O(types read). A whole scan returns every type that exists throughout at least once.
--
-- Uses: shortcuts, clock, windows, quotas, type_settings, blocked_by, counters

local list_type_stats = {}

local NO_COUNTS = {lease = 0, queued = 0, delayed = 0, leased = 0, dead = 0, minute = 0}

-- Return why the queues of a type lease nothing. settings: those of the type, nil for none.
local function of_queues(tx, counts, settings)
  local now = tx.now
  if counts.queued == 0 then return counts.delayed > 0 and blocked_by.DELAYED or blocked_by.EMPTY end
  local _, parked = counters.parking(counts)
  if not counts.ready_at and parked > 0 then return blocked_by.NOTHING end
  if not counts.ready_at then return counts.leased > 0 and blocked_by.MAX_LEASED or blocked_by.PAUSED end
  if counts.ready_at <= now then return blocked_by.NOTHING end
  local window = settings and settings.window
  return window and not windows.is_open(tx, window) and blocked_by.WINDOW or blocked_by.RATE
end

local function add_row(tx, reply, minute, name, counts, raw_settings)
  local settings = raw_settings and type_settings.unpack(raw_settings, tx.now)
  if settings then quotas.open(tx, settings, counts.lease) end
  local of_type = blocked_by.of_type(tx.is_all_paused, settings, counts.leased, tx.now)
  local reason = blocked_by.first(of_type, of_queues(tx, counts, settings))
  local enqueued, leased = counters.in_minute(tx, name, counts, minute)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = name, counts.queued, counts.delayed, counts.leased
  reply[at + 5], reply[at + 6], reply[at + 7], reply[at + 8] = counts.dead, enqueued, leased, reason
end

function list_type_stats.run(tx, args, first)
  clock.read(tx)
  local key = tx.keys[KEY.counters]
  local page = call('HSCAN', key, args[first], 'COUNT', args[first + 1])
  local reply = {0, clock.store_time(tx), -1, -1, page[1]}
  local minute = math.floor(clock.store_time(tx) / counters.MINUTE_US) - 1
  for index = 1, #page[2], 2 do
    local name, raw = page[2][index], page[2][index + 1]
    if sub(name, 1, 1) ~= ':' then
      local counts = counters.unpack(raw)
      local has_settings = counters.has_settings(counts)
      add_row(tx, reply, minute, name, counts, has_settings and call('HGET', key, type_settings.field(name)))
    elseif sub(name, 1, #type_settings.PREFIX) == type_settings.PREFIX then
      -- A type whose counts were dropped still has its settings.
      local type = sub(name, #type_settings.PREFIX + 1)
      if call('HEXISTS', key, type) == 0 then add_row(tx, reply, minute, type, NO_COUNTS, raw) end
    end
  end
  return reply
end
