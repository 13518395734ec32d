-- The lines of a queue that its windows leave open, and the order of the jobs that stand in them.
--
-- The queue's own window, or else the default of its gathered type, holds back all jobs except those that ignore
-- windows. The window of a line (queue_windows.lua) holds back the jobs in it. The order of a queue is that of priority
-- and seq over all lines.
--
-- Uses: shortcuts, clock, windows, job_record, queue_windows, queue_limits

local lines = {MAIN = job_record.FIRST_PRIORITY}  -- the base of the main line

-- Return true if windows may hold back jobs of a queue.
function lines.matter(tx, queue)
  local settings = tx.settings
  return queue.lines or queue.window or settings and settings.window
end

-- Return how many jobs are queued in the main line.
local function queued_in_main(queue)
  local count, queue_lines = queue.queued, queue.lines
  for index = 1, queue_lines and #queue_lines or 0 do count = count - queue_lines[index].queued end
  return count > 0 and count or 0
end

-- Return when a job of a queue may leave (µs, the store's clock; now at the earliest), and true; or, if that is not
-- known, when to look again, and false. number: that of the window of its line; nil for the main line.
function lines.opening_of(tx, queue, number)
  if number == queue_windows.IGNORED then return clock.store_time(tx), true end
  local settings = tx.settings
  return windows.opening(tx, queue.window or settings and settings.window, number)
end

-- Return the same for the first job of a queue that may leave.
function lines.opening(tx, queue)
  local first, is_known = nil, true
  if queued_in_main(queue) > 0 then first, is_known = lines.opening_of(tx, queue, nil) end
  local queue_lines = queue.lines
  for index = 1, queue_lines and #queue_lines or 0 do
    local line = queue_lines[index]
    if line.queued > 0 then
      local at, is_certain = lines.opening_of(tx, queue, line.number)
      if not first or at < first then first, is_known = at, is_certain end
    end
  end
  return first or clock.store_time(tx), is_known
end

-- Return the partition's time before which windows hold back all queued jobs of a queue; 0 for none.
function lines.ready_at(tx, queue)
  local at = lines.opening(tx, queue)
  if at <= clock.store_time(tx) then return 0 end
  return clock.partition_time(tx, at)
end

-- Return the same for an answer to a client: false if the time is not known.
function lines.expected_at(tx, queue)
  if not lines.matter(tx, queue) then return 0 end
  local at, is_known = lines.opening(tx, queue)
  if at <= clock.store_time(tx) then return 0 end
  return is_known and clock.partition_time(tx, at)
end

-- Return true if windows hold back all queued jobs of a queue.
function lines.are_closed(tx, queue)
  return lines.matter(tx, queue) and lines.ready_at(tx, queue) > 0
end

-- Return true if windows hold back a job. newer: its rarely used fields, nil for none.
function lines.hold_back(tx, queue, newer)
  local _, number = job_record.window_in(newer)
  return lines.opening_of(tx, queue, number) > clock.store_time(tx)
end

-- Return the bases of the lines that have queued jobs.
function lines.filled(queue)
  local bases = {}
  if queued_in_main(queue) > 0 then bases[1] = lines.MAIN end
  for _, line in ipairs(queue.lines or {}) do
    if line.queued > 0 then bases[#bases + 1] = line.base end
  end
  return bases
end

-- Return those of them that are open.
function lines.open(tx, queue)
  local bases, store_time, queue_lines = {}, clock.store_time(tx), queue.lines
  if queued_in_main(queue) > 0 and lines.opening_of(tx, queue, nil) <= store_time then bases[1] = lines.MAIN end
  for index = 1, queue_lines and #queue_lines or 0 do
    local line = queue_lines[index]
    if line.queued > 0 and lines.opening_of(tx, queue, line.number) <= store_time then bases[#bases + 1] = line.base end
  end
  return bases
end

-- Note that the open lines of a queue have no queued job, even if its record says otherwise.
function lines.empty(tx, queue)
  local store_time, queued = clock.store_time(tx), 0
  if lines.opening_of(tx, queue, nil) > store_time then queued = queued_in_main(queue) end
  for _, line in ipairs(queue.lines or {}) do
    if lines.opening_of(tx, queue, line.number) <= store_time then line.queued = 0 end
    queued = queued + line.queued
  end
  queue.queued = queued
end

-- Return up to `count` members of a line, in their order, behind a priority byte and a seq. While jobs of a deleted
-- queue are left, each class begins at the fence.
local function members_of(tx, queue, base, priority, seq, count)
  local key, queue_id, first = tx.keys[KEY.queued], queue.queue_id, base + priority - job_record.FIRST_PRIORITY
  local last, members = base + job_record.LINE_WIDTH - 1, {}
  if not queue.is_unswept then
    local from, to = job_record.classes(queue_id, first, last, seq)
    return call('ZRANGE', key, from, to, 'BYLEX', 'LIMIT', 0, count)
  end
  local fence = queue.fence or 0
  for class = first, last do
    local least = class == first and math.max(seq + 1, fence) or fence
    local from, to = job_record.range(queue_id, string.char(class), least)
    local page = call('ZRANGE', key, from, to, 'BYLEX', 'LIMIT', 0, count - #members)
    for _, member in ipairs(page) do members[#members + 1] = member end
    if #members == count then break end
  end
  return members
end

-- Return true if an entry {member, priority byte, seq} stands before another one.
local function precedes(left, right)
  if left[2] ~= right[2] then return left[2] < right[2] end
  return left[3] < right[3]
end

-- Return members of the lines with these bases, in the order of the queue, behind a priority byte and a seq, and true
-- if none follow. At least one if there are any, and about `count` at most. Each line gives an equal part; what lies
-- behind the last member of a line that may have more is left for the next call.
function lines.members(tx, queue, bases, priority, seq, count)
  if #bases == 1 then
    local row = members_of(tx, queue, bases[1], priority, seq, count)
    return row, #row < count
  end
  local queue_id, part, entries, limit = queue.queue_id, math.ceil(count / math.max(#bases, 1)), {}, nil
  for _, base in ipairs(bases) do
    local row = members_of(tx, queue, base, priority, seq, part)
    for _, member in ipairs(row) do
      entries[#entries + 1] = {member, job_record.position(queue_id, member)}
    end
    local last = entries[#entries]
    if #row == part and (not limit or precedes(last, limit)) then limit = last end
  end
  table.sort(entries, precedes)
  local members = {}
  for index, entry in ipairs(entries) do
    if limit and precedes(limit, entry) then break end
    members[index] = entry[1]
  end
  return members, not limit
end

-- Return how many jobs of all lines stand before a queued job.
function lines.count_before(tx, queue, job)
  local key, queue_id, count = tx.keys[KEY.queued], queue.queue_id, 0
  local fence, offset = queue.is_unswept and queue.fence or 0, job.priority - job_record.FIRST_PRIORITY
  for _, base in ipairs(lines.filled(queue)) do
    for class = base, base + offset do
      local below = class == base + offset and job.seq or nil
      count = count + call('ZLEXCOUNT', key, job_record.range(queue_id, string.char(class), fence, below))
    end
  end
  return count
end

-- Remove the lines that no job has.
function lines.settle(tx, queue)
  local queue_lines, is_whole = queue.lines, true
  for index = 1, #queue_lines do is_whole = is_whole and not queue_windows.is_unused(queue, queue_lines[index]) end
  if is_whole then return end
  local kept = {}
  for _, line in ipairs(queue_lines) do
    if queue_windows.is_unused(queue, line) then
      windows.use(tx, line.number, -1)
    else
      kept[#kept + 1] = line
    end
  end
  queue.lines = #kept > 0 and kept or nil
end

-- Return the base of the line of a window for a job that the caller adds to a queue, or nil if the queue has no room.
-- number: 0 for a job that ignores windows.
function lines.take(tx, queue, number)
  queue_limits.extend(queue)
  local base, is_new = queue_windows.take(queue, number)
  if not base then
    lines.settle(tx, queue)
    base, is_new = queue_windows.take(queue, number)
  end
  if is_new then
    windows.use(tx, number, 1)
    tx.has_windows = true
  end
  return base
end
