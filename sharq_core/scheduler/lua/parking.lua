-- Queues with caps. They are never in ready:<type>, because only a dequeue that has slots of all their caps may lease
-- from them (dequeue_capped.lua). Under the same rules they stand in another key, together with those of the same caps.
--
-- parked:<type>   number of the cap set (4 bytes), the time from which the queue may be leased from but for its caps
--                 (8 bytes), queue_id -> 0, so that the bytes give the order: one range is the due queues of a set
-- capsets:<type>  number of each cap set with parked queues (4 bytes) -> the number of the latest change
--
-- A change is that a queue came to stand in parked, or moved there, by anything but a dequeue of that very set. A node
-- thus learns which sets have news since the latest change that it knows. The numbers grow over all sets of a type, and
-- never begin anew: they are times (µs) unless changes come faster.
--
-- The keys have no numbers in KEY. Their names are derived from that of the counters: few calls need them, and nodes of
-- revision 9 do not declare them.
--
-- In a call, tx.parking has what it will write: gone and put (members), left (number of members that go, by set) and
-- joined (sets that get a member; true if that is a change). tx.own_set is the set of a dequeue of that set.
--
-- Uses: shortcuts, lists, counters

local parking = {
  PLACE = '>I4I8',  -- set, time; then the queue_id
  ID_AT = 13,
  NUMBER = '>I4',
}

local function key_of(tx, name)
  return sub(tx.keys[KEY.counters], 1, -#'counters' - 1) .. name .. ':' .. tx.type
end

-- Return the key of the parked queues.
function parking.key(tx)
  return key_of(tx, 'parked')
end

-- Return the key of the sets that have parked queues.
function parking.sets_key(tx)
  return key_of(tx, 'capsets')
end

local function member_of(queue)
  return pack_bytes(parking.PLACE, queue.parked_set, queue.parked_at) .. queue.queue_id
end

-- Return the set, the time and the queue_id of a member.
function parking.unpack(member)
  local set, at = unpack_bytes(parking.PLACE, member)
  return set, at, sub(member, parking.ID_AT)
end

local function moves_of(tx)
  local moves = tx.parking
  if not moves then
    moves = {gone = false, put = false, left = {}, joined = {}}
    tx.parking = moves
  end
  return moves
end

-- Take a queue out of its place, if it has one.
function parking.take_out(tx, queue)
  local set = queue.parked_set
  if not queue.parked_at then return end
  local moves = moves_of(tx)
  moves.gone = append(moves.gone, member_of(queue))
  moves.left[set] = (moves.left[set] or 0) + 1
  queue.parked_at, queue.parked_set = nil, nil
end

-- Put a queue into the place for its set and a time (µs).
function parking.put(tx, queue, at)
  local set = queue.cap_set
  if queue.parked_at == at and queue.parked_set == set then return end
  parking.take_out(tx, queue)
  queue.parked_at, queue.parked_set = at, set
  local moves = moves_of(tx)
  moves.put = append(moves.put, 0, member_of(queue))
  moves.joined[set] = moves.joined[set] or set ~= tx.own_set
end

-- Return the bounds of the members of a set with a time up to `at` (µs; nil: all of them), as ZRANGE BYLEX takes them.
local function lex_bounds(set, at)
  local first = pack_bytes(parking.NUMBER, set)
  if not at then return '[' .. first, '(' .. pack_bytes(parking.NUMBER, set + 1) end
  return '[' .. first, '(' .. pack_bytes(parking.PLACE, set, at + 1)
end

-- Return up to `count` members of a set with a time up to `at` (nil: any), earliest first.
function parking.heads(tx, set, at, count)
  local from, to = lex_bounds(set, at)
  return call('ZRANGE', parking.key(tx), from, to, 'BYLEX', 'LIMIT', 0, count)
end

-- Return how many queues of a set are due.
function parking.count_due(tx, set)
  return call('ZLEXCOUNT', parking.key(tx), lex_bounds(set, tx.now))
end

-- Return the time of the first queue of a set (µs; nil: there is none), and how many are due.
function parking.see(tx, set)
  local head = parking.heads(tx, set, nil, 1)[1]
  if not head then return nil, 0 end
  local _, at = parking.unpack(head)
  return at, at <= tx.now and parking.count_due(tx, set) or 0
end

-- Write the changes of the sets, and count them and the parked queues.
local function flush_sets(tx, moves)
  local key, changed, parked = parking.sets_key(tx), counters.parking(tx.counters)
  local news, empty = false, false
  for set, count in pairs(moves.left) do
    parked = parked - count
    if moves.joined[set] == nil and not parking.heads(tx, set, nil, 1)[1] then
      empty = append(empty, pack_bytes(parking.NUMBER, set))
    end
  end
  for set, is_news in pairs(moves.joined) do
    if is_news then
      changed = math.max(changed + 1, tx.now)
      news = append(news, changed, pack_bytes(parking.NUMBER, set))
    end
  end
  if empty then call('ZREM', key, unpack(empty)) end
  if news then call('ZADD', key, unpack(news)) end
  counters.set_parking(tx.counters, changed, parked + (moves.put and #moves.put / 2 or 0))
end

-- Write the places of the call.
function parking.flush(tx)
  local moves, key = tx.parking, parking.key(tx)
  if moves.gone then call('ZREM', key, unpack(moves.gone)) end
  if moves.put then call('ZADD', key, unpack(moves.put)) end
  flush_sets(tx, moves)
  tx.parking = nil
end

-- Remove a place under which no queue waits.
function parking.drop(tx, set, at, queue_id)
  call('ZREM', parking.key(tx), pack_bytes(parking.PLACE, set, at) .. queue_id)
end
