-- The state of a queue in replies, as flat lists of numbers.
--
-- Uses: clock, cap_sets, windows, queue_limits, queue_record, lines, blocked_by, dead_letters

local queue_stats = {}

-- Return the reason that lies in the type, and when the type may be leased from (blocked_by.of_type).
local function reason_of_type(tx)
  return blocked_by.of_type(tx.is_all_paused, tx.settings, tx.counters and tx.counters.leased or 0, tx.now)
end

-- Return a queue of which only dead letters are left.
function queue_stats.without_record(queue_id)
  local queue = queue_record.new(queue_id)
  queue_limits.mark(queue, queue_limits.NO_INTERVAL, true)
  return queue
end

-- Return interval (µs), burst, pinned, paused, queued, delayed, leased, time until the queue may be leased from (µs) or
-- -1, and the age of its head (µs) or -1.
function queue_stats.row(tx, queue, head_age)
  local is_waiting = queue.queued > 0 and not queue.is_paused and not queue_limits.is_full(queue)
  local _, type_at = reason_of_type(tx)
  local opens_at, ready_in = is_waiting and lines.expected_at(tx, queue), -1
  if opens_at and type_at then
    ready_in = math.max(queue_limits.ready_at(queue) - tx.now, type_at - tx.now, opens_at - tx.now, 0)
  end
  return {queue.interval, queue.burst, queue.is_pinned and 1 or 0, queue.is_paused and 1 or 0, queue.queued,
    queue.delayed, queue.leased, ready_in, head_age}
end

-- Append hundredths of the burst, max_leased or 0, the end of the hold (µs) or -1, weight, number of dead letters,
-- blocked_by, and the flags of what an operator set, with NO_INTERVAL (queue_limits.lua). dead: as stored in
-- deadcounts. knows_caps: the caller can decode that caps hold the queue back.
function queue_stats.add_limits(tx, queue, dead, row, knows_caps)
  local at, now, held_until = #row, tx.now, queue.held_until
  row[at + 1], row[at + 2] = queue.hundredths or 0, queue.max_leased or 0
  row[at + 3] = held_until and held_until > now and clock.shown(tx, held_until) or -1
  row[at + 4], row[at + 5] = queue.weight or 1, dead_letters.number(dead)
  local reason = blocked_by.of_queue(tx, queue)
  if reason == blocked_by.CAP and not knows_caps then reason = blocked_by.NOTHING end
  row[at + 6] = blocked_by.first(reason_of_type(tx), reason)
  row[at + 7] = queue.settings or 0
end

-- Append the defaults of the lives of jobs: delay (ms), factor (hundredths, 0: no retry policy), max (ms) and jitter
-- (hundredths), expires (µs, 0: never), on_expiry (queue_life.lua, 0: not set).
-- defaults: a queue, or the settings of a type.
function queue_stats.add_life(defaults, row)
  local at, retry = #row, defaults.retry
  row[at + 1], row[at + 2] = retry and retry.delay or 0, retry and retry.factor or 0
  row[at + 3], row[at + 4] = retry and retry.max or 0, retry and retry.jitter or 0
  row[at + 5], row[at + 6] = defaults.expires or 0, defaults.on_expiry or 0
end

-- Append the name of the window, '' for none. owner: a queue, or the settings of a type.
function queue_stats.add_window(tx, owner, row)
  row[#row + 1] = owner.window and windows.read(tx, owner.window).name or ''
end

-- Append the names of the caps of a queue (cap_sets.lua), '' for none.
function queue_stats.add_caps(tx, queue, row)
  row[#row + 1] = cap_sets.names(tx, queue.cap_set)
end

-- Append minute, enqueued and leased for each minute with counts.
function queue_stats.add_minutes(queue, row)
  for _, minute in ipairs(queue_record.minutes(queue)) do
    for _, number in ipairs(minute) do row[#row + 1] = number end
  end
end
