-- set_queue: change the settings of a queue, which is created if need be. What an operator sets stays until it is
-- cleared: an enqueue does not change it, and the record is kept.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts parked capsets
-- Args: now, type, queue_id, not_after (µs), then for each given field: name, value ('' clears it)
-- Fields: interval_us, burst, pin ('1' or '0'), max_leased, weight, hold_us (from now), retry (retry_policy.lua),
--         expires_us, on_expiry (queue_life.lua), window (its name), caps (their names, see cap_sets.lua), and life
--         ('1': the caller can decode the defaults of the lives of jobs, as get_queue returns them; '2': and the
--         window; '3': and the caps)
-- Reply: {0, now, ready hint, timer hint, then as get_queue with its limits}
--        {0, now, -1, -1, -1} if there is no such window: nothing was done
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n)
--
-- Uses: clock, windows, retry_policy, queue_limits, queue_record, counters, dead_letters, unit, queue_stats

local set_queue = {}

-- Note that an operator set or cleared a field, if the call names it.
local function mark(queue, flag, value)
  if value then queue_limits.mark(queue, flag, value ~= '') end
end

-- Set interval and burst in one change of the rate. A cleared interval stays until an enqueue carries one.
local function set_rate(queue, interval_us, burst)
  local new_interval, whole, hundredths = queue.interval, queue.burst, queue.hundredths
  if interval_us and interval_us ~= '' then
    new_interval = tonumber(interval_us)
    queue_limits.mark(queue, queue_limits.NO_INTERVAL, false)
  end
  if burst == '' then
    whole, hundredths = 1, nil
  elseif burst then
    whole, hundredths = queue_limits.split_burst(tonumber(burst))
  end
  mark(queue, queue_limits.INTERVAL, interval_us)
  mark(queue, queue_limits.BURST, burst)
  if new_interval ~= queue.interval or whole ~= queue.burst or hundredths ~= queue.hundredths then
    queue_record.change_rate(queue, new_interval, whole, hundredths)
  end
end

-- Set the defaults of the lives of the queue's jobs. They are for jobs enqueued from now on, except the retry policy.
local function set_life(queue, fields)
  local retry, expires, on_expiry = fields.retry, fields.expires_us, fields.on_expiry
  if not retry and not expires and not on_expiry then return end
  queue_limits.extend(queue)
  if retry then queue.retry = retry ~= '' and retry_policy.unpack(retry, 1) or nil end
  if expires then queue.expires = tonumber(expires) end
  if on_expiry then queue.on_expiry = tonumber(on_expiry) end
end

-- Set the window of the queue. number: false to clear it, nil to leave it.
local function set_window(tx, queue, number)
  if number == nil then return end
  queue_limits.extend(queue)
  windows.use(tx, queue.window, -1)
  queue.window = number or nil
  windows.use(tx, queue.window, 1)
  tx.has_windows = true
end

local function set_fields(tx, queue, fields)
  set_rate(queue, fields.interval_us, fields.burst)
  if fields.pin then queue_record.flag(queue, 'is_pinned', fields.pin == '1') end
  mark(queue, queue_limits.MAX_LEASED, fields.max_leased)
  if fields.max_leased then queue.max_leased = tonumber(fields.max_leased) end
  mark(queue, queue_limits.WEIGHT, fields.weight)
  if fields.weight then queue.weight = tonumber(fields.weight) end
  if fields.hold_us == '' then
    queue.held_until = nil
  elseif fields.hold_us then
    unit.hold(tx, queue, tx.now + tonumber(fields.hold_us))
  end
  set_life(queue, fields)
  mark(queue, queue_limits.CAPS, fields.caps)
  if fields.caps then unit.set_caps(tx, queue, fields.caps) end
  queue_record.flag(queue, 'is_purged', false)
end

function set_queue.run(tx, args)
  local queue_id, fields = args[3], {}
  for at = 5, #args, 2 do fields[args[at]] = args[at + 1] end
  if not counters.open(tx, tonumber(args[4])) then return unit.expired(tx) end
  local window = nil
  if fields.window then window = fields.window ~= '' and windows.number(tx, fields.window) end
  if window == nil and fields.window then return {0, clock.store_time(tx), -1, -1, -1} end
  local queue = unit.queue(tx, queue_id)
  if not queue then
    queue = unit.new_queue(tx, queue_id)
    queue_limits.mark(queue, queue_limits.NO_INTERVAL, true)
  end
  set_fields(tx, queue, fields)
  set_window(tx, queue, window)
  unit.move(tx, queue)
  unit.touch(tx, queue)
  local row = queue_stats.row(tx, queue, unit.head_age(tx, queue))
  queue_stats.add_limits(tx, queue, dead_letters.count(tx, queue_id), row, fields.life == '3')
  if fields.life then queue_stats.add_life(queue, row) end
  if fields.life and fields.life >= '2' then queue_stats.add_window(tx, queue, row) end
  if fields.life == '3' then queue_stats.add_caps(tx, queue, row) end
  queue_stats.add_minutes(queue, row)
  return unit.close(tx, {0, clock.store_time(tx), -1, -1, unpack(row)})
end
