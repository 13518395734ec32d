-- The part of a queue's record about windows. It follows queue_life.lua's, and only few queues have it.
--
-- queue.window  the number of the queue's own window, which an operator set; nil: none
-- queue.lines   the lines of jobs that have a window or ignore windows, as a list; nil: none. For each: base (its first
--               class byte), number (of the window; 0: its jobs ignore windows), and how many of the queue's jobs in it
--               are queued, delayed and leased
--
-- A job keeps its line as long as it lives. The main line is not in the list. A line goes when no job has it. lines.lua
-- says which lines are open. The part about caps follows (queue_caps.lua).
--
-- Uses: shortcuts, job_record, queue_caps

local queue_windows = {
  IGNORED = 0,           -- the number of the line of jobs that ignore windows
  FORMAT = '>I4B',       -- window (0: none), number of lines; then each line
  NONE = '\0\0\0\0\0',  -- no window and no line
  LINE = '>BI4I4I4I4',   -- base, number, queued, delayed, leased
  MOST = 26,             -- lines of a queue besides the main line, half of them below it and half above
}

local NONE, NONE_LENGTH = queue_windows.NONE, #queue_windows.NONE

-- Read this part of a record, from raw[first] on.
function queue_windows.unpack(queue, raw, first)
  -- Most queues with this part have caps alone.
  local caps_at = first + NONE_LENGTH
  if sub(raw, first, caps_at - 1) == NONE then
    if caps_at <= #raw then queue_caps.unpack(queue, raw, caps_at) end
    return
  end
  local window, count, at = unpack_bytes(queue_windows.FORMAT, raw, first)
  if window > 0 then queue.window = window end
  if count > 0 then
    local lines = {}
    for index = 1, count do
      local base, number, queued, delayed, leased
      base, number, queued, delayed, leased, at = unpack_bytes(queue_windows.LINE, raw, at)
      lines[index] = {base = base, number = number, queued = queued, delayed = delayed, leased = leased}
    end
    queue.lines = lines
  end
  if at <= #raw then queue_caps.unpack(queue, raw, at) end
end

-- Return true if no job has a line. Deleted jobs may still stand in it until they are swept.
function queue_windows.is_unused(queue, line)
  return line.queued == 0 and line.delayed == 0 and line.leased == 0 and not queue.is_unswept
end

-- Return true if this part says something.
function queue_windows.is_known(queue)
  return queue.window or queue.lines and #queue.lines > 0
end

-- Return this part of a record, empty if it says nothing.
function queue_windows.pack(queue)
  local lines, packed, tail = queue.lines, '', queue_caps.pack(queue)
  local count = lines and #lines or 0
  if not queue_windows.is_known(queue) then return tail == '' and '' or queue_windows.NONE .. tail end
  for index = 1, count do
    local line = lines[index]
    packed = packed .. pack_bytes(queue_windows.LINE, line.base, line.number, line.queued, line.delayed, line.leased)
  end
  return pack_bytes(queue_windows.FORMAT, queue.window or 0, count) .. packed .. tail
end

-- Return the line of a base.
function queue_windows.line(queue, base)
  local lines = queue.lines
  for index = 1, lines and #lines or 0 do
    if lines[index].base == base then return lines[index] end
  end
end

-- Return the base of the index-th line, from 1. The main line stands in the middle.
local function base_of(index)
  local place = index <= queue_windows.MOST / 2 and index - 1 or index
  return job_record.FIRST_LINE + place * job_record.LINE_WIDTH
end

-- Add a line without jobs. Returns it.
local function add_line(queue, base, number)
  local line = {base = base, number = number, queued = 0, delayed = 0, leased = 0}
  queue.lines = queue.lines or {}
  queue.lines[#queue.lines + 1] = line
  return line
end

-- Return the base of the line of a window, and true if it is new; nil if the queue has no room for it. The queue has
-- its limits (queue_limits.extend). number: 0 for jobs that ignore windows.
function queue_windows.take(queue, number)
  local used = {}
  for _, line in ipairs(queue.lines or {}) do
    if line.number == number then return line.base, false end
    used[line.base] = true
  end
  for index = 1, queue_windows.MOST do
    local base = base_of(index)
    if not used[base] then return add_line(queue, base, number).base, true end
  end
  return nil, false
end

-- Count a job of a line that enters (1) or leaves (-1) a state: queued, delayed or leased. The queue has its limits.
-- Returns true if the line is new: only a queue whose record was lost does not have it.
function queue_windows.count(queue, base, number, state, difference)
  local line = queue_windows.line(queue, base)
  local is_new = not line
  line = line or add_line(queue, base, number)
  line[state] = math.max(line[state] + difference, 0)
  return is_new
end

-- Forget the queued and delayed jobs of all lines, because the queue is deleted.
function queue_windows.clear(queue)
  for _, line in ipairs(queue.lines or {}) do line.queued, line.delayed = 0, 0 end
end
