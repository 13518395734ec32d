-- Results: what the work of finished jobs gave, kept as long as the jobs are remembered and as memory allows.
--
-- results   type:queue_id:job_id -> format, lease token, JSON
-- resulted  type:queue_id:job_id, 0, length of the JSON (4 bytes) -> when the job finished, µs
-- counters  :results -> bytes of all results, number of those that were dropped for their memory, when the oldest came
--           (µs; early perhaps, never late; 0: there is none)
--
-- A result belongs to the tombstone with the same lease token. One of an earlier job of the same id is not shown.
--
-- The keys have no numbers in KEY. Their names are derived from that of the counters, because few calls need them.
--
-- In a call, tx.results is the state of the calls that keep some: total, evicted and oldest as in :results, mine (bytes
-- of this call), kept (record by name), gone (names and members to remove), dropped (true by name), count (how many
-- made room), next (the rank of the oldest result that is still to be looked at) and retention (µs).
--
-- Uses: shortcuts, lists

local results = {
  FIELD = ':results',
  FORMAT = '>I7I7I7',
  RECORD = '>Bc16', RECORD_LENGTH = 17,  -- then the JSON
  LENGTH = '>I4', TAIL = 5,              -- of a member: 0 and the length
  OVERHEAD = 128,       -- bytes that the store takes for a result beside the JSON and twice the name, about
  MOST_DROPPED = 1000,  -- results that a call, or all parts of a joint call, drop to make room
  STEP = 100,
}

local function results_key(tx, name)
  return sub(tx.keys[KEY.counters], 1, -#'counters' - 1) .. name
end

-- Return the bytes that count for a result.
local function size_of(name, length)
  return length + 2 * #name + results.OVERHEAD
end

local function member_of(name, length)
  return name .. '\0' .. pack_bytes(results.LENGTH, length)
end

-- Return bytes, evicted and oldest of the contents of :results; zeros for none.
function results.unpack(raw)
  if not raw then return 0, 0, 0 end
  local total, evicted, oldest = unpack_bytes(results.FORMAT, raw)
  return total, evicted, oldest
end

-- Read the state of the results for a call that changes them. retention: how long a result is kept (µs).
function results.open(tx, retention)
  local total, evicted, oldest = results.unpack(call('HGET', tx.keys[KEY.counters], results.FIELD))
  tx.results = {total = total, evicted = evicted, oldest = oldest, mine = 0, kept = {}, gone = false, dropped = {},
    count = tx.shared and tx.shared.dropped or 0, next = 0, retention = retention}
end

-- Drop a result of the store.
local function drop(state, name, length)
  state.gone = append(state.gone, name, member_of(name, length))
  state.dropped[name] = true
  state.total = math.max(state.total - size_of(name, length), 0)
end

-- Drop the result that an earlier job of the same id left.
local function drop_earlier(tx, state, name)
  if state.dropped[name] then return end
  local length = call('HSTRLEN', results_key(tx, 'results'), name)
  if length > 0 then drop(state, name, length - results.RECORD_LENGTH) end
end

-- Drop the next oldest results until `is_enough` says so. An entry of this call is not among them.
local function drop_oldest(tx, state, limit, is_enough)
  local key = results_key(tx, 'resulted')
  while not is_enough(nil) do
    local row = call('ZRANGE', key, state.next, state.next + results.STEP - 1, 'WITHSCORES')
    if #row == 0 then return end
    for index = 1, #row, 2 do
      local member, at = row[index], tonumber(row[index + 1])
      if is_enough(at) or state.count == limit then return end
      local name, length = sub(member, 1, -results.TAIL - 1), unpack_bytes(results.LENGTH, member, #member - 3)
      state.next = state.next + 1
      if not state.dropped[name] then
        drop(state, name, length)
        state.count = state.count + 1
        if tx.now - at < state.retention then state.evicted = state.evicted + 1 end
      end
    end
  end
end

-- Keep the result of a job that this call finishes, instead of the oldest ones if need be. limit: bytes of all results.
-- Returns false if there is no room.
function results.keep(tx, job, json, limit)
  local state, name = tx.results, tx.type .. ':' .. job.field
  drop_earlier(tx, state, name)
  local size = size_of(name, #json)
  if state.mine + size > limit then return false end
  drop_oldest(tx, state, results.MOST_DROPPED, function() return state.total + size <= limit end)
  if state.total + size > limit then return false end
  state.total, state.mine = state.total + size, state.mine + size
  state.kept[name] = pack_bytes(results.RECORD, 1, job.token) .. json
  if state.oldest == 0 then state.oldest = tx.now end
  return true
end

-- Return the result of the job that a lease finished, or nil. field: queue_id:job_id.
function results.find(tx, field, token)
  local name = tx.type .. ':' .. field
  local raw = tx.results and tx.results.kept[name] or call('HGET', results_key(tx, 'results'), name)
  if not raw or sub(raw, 2, results.RECORD_LENGTH) ~= token then return nil end
  return sub(raw, results.RECORD_LENGTH + 1)
end

-- Drop up to `count` of the oldest results: those older than the retention, and those above `limit` (bytes). The time
-- of the oldest becomes exact.
function results.trim(tx, limit, count)
  local state = tx.results
  drop_oldest(tx, state, count, function(at)
    return at and tx.now - at < state.retention and state.total <= limit
  end)
  local row = call('ZRANGE', results_key(tx, 'resulted'), state.next, state.next, 'WITHSCORES')
  state.oldest = row[2] and tonumber(row[2]) or 0
  if state.oldest == 0 then state.total = 0 end
end

-- Write the changes of the call.
function results.flush(tx)
  local state, key, place = tx.results, results_key(tx, 'results'), results_key(tx, 'resulted')
  local gone, members, records, places = state.gone, false, false, false
  if gone then
    local names = {}
    for index = 1, #gone, 2 do
      names[#names + 1] = gone[index]
      members = members or {}
      members[#members + 1] = gone[index + 1]
    end
    call('HDEL', key, unpack(names))
    call('ZREM', place, unpack(members))
  end
  for name, record in pairs(state.kept) do
    records = append(records, name, record)
    places = append(places, tx.now, member_of(name, #record - results.RECORD_LENGTH))
  end
  if records then
    call('HSET', key, unpack(records))
    call('ZADD', place, unpack(places))
  end
  call('HSET', tx.keys[KEY.counters], results.FIELD,
    pack_bytes(results.FORMAT, state.total, state.evicted, state.oldest))
  if tx.shared then tx.shared.dropped = state.count end
  tx.results = nil
end
