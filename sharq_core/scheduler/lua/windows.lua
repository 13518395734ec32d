-- Windows: when jobs may be leased. Each partition keeps every window, so that a lease asks no other partition. A
-- partition knows no time zones: it keeps the openings of the next days, which its owner extends.
--
-- counters  :W -> number of the newest window (4 bytes), then the numbers of the present windows (4 bytes each)
--           :W<name> -> the number of a window (4 bytes). A name keeps its number even if the window is dropped
--           :w<number, 4 bytes> -> version, time up to which its openings are known, those that are not over, name,
--                        definition (JSON; empty for a window that was dropped)
--           :u<number, 4 bytes> -> its uses (decimal): lines of queues, and windows of queues and of types
--
-- The times of windows are those of the store's clock, because people set their clocks by the same time. A window is
-- closed from the time on up to which its openings are known, and so is one that was dropped.
--
--           :W> -> the cursor of a walk that gives queues their scores in ready anew (rescore_windows.lua); absent if
--                  none is under way: generation, cursor of types, cursor of queues, types
--
-- In a call tx.windows has the windows that it has read, by their numbers; tx.openings when pairs of them open;
-- tx.window_numbers the numbers by name; and tx.window_uses how many uses the call adds, by number.
--
-- Uses: shortcuts, clock

local windows = {
  INDEX = ':W', PREFIX = ':w', USES = ':u', WALK = ':W>',
  NUMBER = '>I4',
  FORMAT = '>BI7I7I2',  -- format, version, known until, number of openings; then the openings, the name, the definition
  OPENING = '>I7I7',    -- from, to
  NAME = '>Bc0',
  -- A queue whose window is not known to open is read again after this time.
  LOOK_US = 60000000,
  PAIR = 4294967296,  -- makes one number of two numbers of windows
}

-- Return a field of a window: of its record (PREFIX) or of its uses (USES).
function windows.field(prefix, number)
  return prefix .. pack_bytes(windows.NUMBER, number)
end

-- Return the window of a record: version, known until, openings (from, to, from, to, ...), name, definition.
-- is_dropped: only its name and its version are left.
function windows.unpack(raw)
  local _, version, known_until, count, at = unpack_bytes(windows.FORMAT, raw)
  local openings = {}
  for index = 1, count do
    openings[2 * index - 1], openings[2 * index], at = unpack_bytes(windows.OPENING, raw, at)
  end
  local name, definition_at = unpack_bytes(windows.NAME, raw, at)
  local definition = sub(raw, definition_at)
  return {version = version, known_until = known_until, openings = openings, name = name, definition = definition,
    is_dropped = definition == ''}
end

-- Return the record of a window.
function windows.pack(window)
  local openings = window.openings
  local packed = {pack_bytes(windows.FORMAT, 1, window.version, window.known_until, #openings / 2)}
  for index = 1, #openings, 2 do
    packed[#packed + 1] = pack_bytes(windows.OPENING, openings[index], openings[index + 1])
  end
  packed[#packed + 1] = pack_bytes(windows.NAME, #window.name, window.name)
  packed[#packed + 1] = window.definition
  return table.concat(packed)
end

-- Return those of the openings that are not over at a time and begin before another one, at which they end at the
-- latest.
function windows.between(openings, from, to)
  local kept = {}
  for index = 1, #openings, 2 do
    if openings[index + 1] > from and openings[index] < to then
      kept[#kept + 1], kept[#kept + 2] = openings[index], math.min(openings[index + 1], to)
    end
  end
  return kept
end

-- Return the window with a number as the call sees it: its name, the openings to come, and ask_at: when to look again
-- if these are over (µs).
function windows.read(tx, number)
  local cached = tx.windows or {}
  tx.windows = cached
  local window = cached[number]
  if window then return window end
  local raw = call('HGET', tx.keys[KEY.counters], windows.field(windows.PREFIX, number))
  local store_time = clock.store_time(tx)
  window = raw and windows.unpack(raw) or {name = '', openings = {}, known_until = 0}
  window.openings = windows.between(window.openings, store_time, window.known_until)
  window.ask_at = window.known_until > store_time and window.known_until or store_time + windows.LOOK_US
  cached[number] = window
  return window
end

-- Return true if a window is open.
function windows.is_open(tx, number)
  local from = windows.read(tx, number).openings[1]
  return from ~= nil and from <= clock.store_time(tx)
end

-- Compute what windows.opening returns.
local function find_opening(tx, first, second)
  local store_time, window = clock.store_time(tx), windows.read(tx, first or second)
  local other_window = second and windows.read(tx, second) or window
  local openings, other_openings, at, other_at = window.openings, other_window.openings, 1, 1
  while openings[at] and other_openings[other_at] do
    local from = math.max(openings[at], other_openings[other_at], store_time)
    if from < math.min(openings[at + 1], other_openings[other_at + 1]) then return from, true end
    if openings[at + 1] < other_openings[other_at + 1] then at = at + 2 else other_at = other_at + 2 end
  end
  return math.min(window.ask_at, other_window.ask_at), false
end

-- Return when both of two windows are first open at one time (µs, now at the earliest), and true. If that is not known:
-- when to look again, and false. Either number may be nil for none.
function windows.opening(tx, first, second)
  if not first and not second then return clock.store_time(tx), true end
  local cached, pair = tx.openings, (first or 0) * windows.PAIR + (second or 0)
  if not cached then
    cached = {}
    tx.openings = cached
  end
  local at = cached[pair]
  if not at then
    local is_known
    at, is_known = find_opening(tx, first, second)
    if not is_known then at = -at end
    cached[pair] = at
  end
  if at < 0 then return -at, false end
  return at, true
end

-- Return the number of a name, and its window as it is stored, which may be a dropped one. nil: there was none.
function windows.find(tx, name)
  local key = tx.keys[KEY.counters]
  local raw = call('HGET', key, windows.INDEX .. name)
  if not raw then return nil end
  local number = unpack_bytes(windows.NUMBER, raw)
  local record = call('HGET', key, windows.field(windows.PREFIX, number))
  return number, record and windows.unpack(record) or nil
end

-- Return the number of the present window of a name, or nil.
function windows.number(tx, name)
  local cached = tx.window_numbers or {}
  tx.window_numbers = cached
  if cached[name] == nil then
    local number, window = windows.find(tx, name)
    cached[name] = window and not window.is_dropped and number or false
  end
  return cached[name] or nil
end

-- Count uses of a window that begin or end with this call. number: nil for none, 0 for ignored windows.
function windows.use(tx, number, difference)
  if not number or number == 0 then return end
  tx.window_uses = tx.window_uses or {}
  tx.window_uses[number] = (tx.window_uses[number] or 0) + difference
end

-- Return how many uses a window has.
function windows.uses(tx, number)
  return tonumber(call('HGET', tx.keys[KEY.counters], windows.field(windows.USES, number)) or 0)
end

-- Append the state of a window to a reply: name, version, known until (µs), uses, openings (OPENING each), definition.
function windows.add(tx, reply, number, window)
  local at, openings, packed = #reply, window.openings, {}
  for index = 1, #openings, 2 do
    packed[#packed + 1] = pack_bytes(windows.OPENING, openings[index], openings[index + 1])
  end
  reply[at + 1], reply[at + 2], reply[at + 3] = window.name, window.version, window.known_until
  reply[at + 4], reply[at + 5], reply[at + 6] = windows.uses(tx, number), table.concat(packed), window.definition
end

-- Write the uses that the call changed.
function windows.flush(tx)
  local key = tx.keys[KEY.counters]
  for number, difference in pairs(tx.window_uses) do
    local field = windows.field(windows.USES, number)
    if difference ~= 0 and call('HINCRBY', key, field, difference) <= 0 then call('HDEL', key, field) end
  end
  tx.window_uses = nil
end

-- Let a walk give the queues of the partition their scores anew, from the start. Its generation grows, so that a walk
-- under way ends.
function windows.begin_walk(tx)
  local key = tx.keys[KEY.counters]
  local before = tonumber(string.match(call('HGET', key, windows.WALK) or '0', '^%d+'))
  local cursor = string.format('%.0f:0:0:', math.max(before + 1, clock.store_time(tx)))
  call('HSET', key, windows.WALK, cursor)
  return cursor
end
