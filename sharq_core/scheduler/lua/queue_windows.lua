-- The part of a queue's record about windows. It follows queue_life.lua's, and only few queues have it.
--
-- queue.window  the number of the queue's own window, which an operator set; nil: none
-- queue.lines   the lines of jobs that have a window or ignore windows, as a list; nil: none. For each: base (its first
--               class byte), number (of the window; 0: its jobs ignore windows), and how many of the queue's jobs in it
--               are queued, delayed and leased
--
-- A job keeps its line as long as it lives. The main line is not in the list. A line goes when no job has it.
--
-- Uses: shortcuts

local queue_windows = {
  IGNORED = 0,           -- the number of the line of jobs that ignore windows
  FORMAT = '>I4B',       -- window (0: none), number of lines; then each line
  LINE = '>BI4I4I4I4',   -- base, number, queued, delayed, leased
  FIRST_BASE = 7, SECOND_BASE = 133,  -- of 13 lines each, below and above the main line
  WIDTH = 9,             -- class bytes of a line
  MOST = 26,             -- lines of a queue besides the main line
}

-- Read this part of a record from raw[at] on. Returns where the bytes of a newer version begin.
local function read_lines(queue, raw)
  local window, count, at = unpack_bytes(queue_windows.FORMAT, raw)
  if window > 0 then queue.window = window end
  if count > 0 then queue.lines = {} end
  for index = 1, count do
    local line = {}
    line.base, line.number, line.queued, line.delayed, line.leased, at = unpack_bytes(queue_windows.LINE, raw, at)
    queue.lines[index] = line
  end
  return at
end

-- Read this part of a record. raw: the bytes after queue_life's part.
function queue_windows.unpack(queue, raw)
  if raw == '' then
    queue.newer_limits = raw
    return
  end
  queue.newer_limits = sub(raw, read_lines(queue, raw))
end

-- Return true if no job has a line.
local function is_unused(line)
  return line.queued == 0 and line.delayed == 0 and line.leased == 0
end

-- Return this part of a record, empty if it says nothing. Lines without jobs go, unless deleted jobs still stand there.
function queue_windows.pack(queue)
  local lines, count, packed = queue.lines or {}, 0, ''
  for _, line in ipairs(lines) do
    if queue.is_unswept or not is_unused(line) then
      count = count + 1
      packed = packed .. pack_bytes(queue_windows.LINE, line.base, line.number, line.queued, line.delayed, line.leased)
    end
  end
  if not queue.window and count == 0 and queue.newer_limits == '' then return '' end
  return pack_bytes(queue_windows.FORMAT, queue.window or 0, count) .. packed .. queue.newer_limits
end

-- Return the line of a base.
function queue_windows.line(queue, base)
  for _, line in ipairs(queue.lines or {}) do
    if line.base == base then return line end
  end
end

-- Return the base of the index-th line, from 1.
local function base_of(index)
  local half = queue_windows.MOST / 2
  if index <= half then return queue_windows.FIRST_BASE + (index - 1) * queue_windows.WIDTH end
  return queue_windows.SECOND_BASE + (index - half - 1) * queue_windows.WIDTH
end

-- Return the base of the line of a window, which is added if need be; nil if the queue has no room for it. The queue
-- has its limits (queue_limits.extend). number: 0 for jobs that ignore windows.
function queue_windows.take(queue, number)
  local lines, used = queue.lines or {}, {}
  for _, line in ipairs(lines) do
    if line.number == number then return line.base end
    used[line.base] = true
  end
  for index = 1, queue_windows.MOST do
    local base = base_of(index)
    if not used[base] then
      lines[#lines + 1] = {base = base, number = number, queued = 0, delayed = 0, leased = 0}
      queue.lines = lines
      return base
    end
  end
  return nil
end

-- Count a job of a line that enters (1) or leaves (-1) a state: queued, delayed or leased. The queue has its limits.
function queue_windows.count(queue, base, number, state, difference)
  local line = queue_windows.line(queue, base)
  if not line then
    -- Only a queue whose record was lost does not have the line.
    line = {base = base, number = number, queued = 0, delayed = 0, leased = 0}
    queue.lines = queue.lines or {}
    queue.lines[#queue.lines + 1] = line
  end
  line[state] = math.max(line[state] + difference, 0)
end

-- Forget the queued and delayed jobs of all lines, because the queue is deleted.
function queue_windows.clear(queue)
  for _, line in ipairs(queue.lines or {}) do line.queued, line.delayed = 0, 0 end
end
