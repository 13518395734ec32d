-- The record of a job, and its member in the line of its queue.
--
-- jobs:<type>    queue_id:job_id -> header, [lease token], [rarely used fields], payload
-- queued:<type>  queue_id \0 class seq job_id, all with score 0
--
-- The second byte of the header is the length of header, token and rarely used fields, so an older version keeps what
-- it cannot read. The rarely used fields are one byte that says which of them the job has, then the values of COST,
-- EXPIRES, RETRY, WINDOW and BATCH, as far as they are there, then those of a newer version.
--
-- The class byte is DELAYED_CLASS, or that of a line of the queue and a priority. A queue's delayed jobs can thus be
-- found, too. The priorities 1 to 9 of the API are the bytes FIRST_PRIORITY to LAST_PRIORITY, which are the classes of
-- the main line, too. Jobs with a window stand in other lines (queue_windows.lua). Each line has nine classes, from its
-- base on.
--
-- Uses: shortcuts, retry_policy

local QUEUED, DELAYED, LEASED, DEAD = 1, 2, 3, 4 -- the states, for all files

local job_record = {
  -- flags of the last lease: it was released and did not time out; its cost was corrected; its attempt does not count
  RELEASED = 1, CORRECTED = 2, UNCOUNTED = 4,
  EXPIRED = 8,                  -- flag of a dead letter: it died because it expired
  TRACED = 16,                  -- the note of the job has a trace (notes.lua); this flag outlives the lease
  -- flags of the last lease: it has permits of caps, which are in the note (job_permits.lua); it had some
  PERMITTED = 32, SETTLED = 64,
  -- the byte that says which rarely used fields a job has: cost (4 bytes), time of expiry (7 bytes), retry policy,
  -- window (the base of its line, its number), batch (its number); two that have no bytes: the job is dropped when it
  -- expires, and it has a note (notes.lua)
  COST = 1, EXPIRES = 2, RETRY = 4, WINDOW = 8, DROPPED = 16, NOTED = 32, BATCH = 64,
  NEWER = 128,                  -- one of a newer version
  WINDOW_FORMAT = '>BI4', WINDOW_LENGTH = 5,
  BATCH_FORMAT = '>I4',
  PRIORITY = 128,               -- the usual priority, 5
  PRIORITY_CLASS = '\128',      -- the class byte of that priority
  FIRST_PRIORITY = 124, LAST_PRIORITY = 132,
  LINE_FROM = '\0\124',         -- bounds of the members of the main line, after the queue id
  LINE_TO = '\0\133',
  DELAYED_CLASS = '\255', DELAYED_NUMBER = 255,
  FIRST_LINE = 7, LINE_WIDTH = 9,  -- the first class of the first line, and how many each line has
  -- format, length, state, flags, priority, seq, requeue limit, attempt, enqueued, due; then what follows: token and
  -- rarely used fields, payload
  FORMAT = '>BBBBBI7i4I4I7I7', WRITTEN = '>BBBBBI7i4I4I7I7c0c0', NEW = '>BBBBBI7i4I4I7I7c0',
  LENGTH = 34,
  TOKEN_END = 50,               -- the token takes 16 bytes
  LAST = '\255\255\255\255\255\255\255\255\255',          -- above every seq
  NO_TOKEN = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0',  -- stands before newer bytes if there is no token
}

-- The values that each job needs, as locals: to read a field of a table costs six times as much.
local FORMAT, TOKEN_END, NO_TOKEN = job_record.FORMAT, job_record.TOKEN_END, job_record.NO_TOKEN
local LENGTH, WRITTEN, NEW = job_record.LENGTH, job_record.WRITTEN, job_record.NEW

-- Plain jobs (plain_expiry) expire by the million. HEAD reads the length of a record with its state and its flags as
-- one number, and the seq: numbers cost the store less than strings, which it has to keep and to collect. PLAIN is what
-- that number leaves for 65,536 if the job is queued and has no flags, and NO_RARE the largest one of a record without
-- rarely used fields. EXPIRY_AT is where the expiry stands, by the byte that says which of these fields the job has.
local HEAD, PLAIN, NO_RARE = '>xI3xI7', QUEUED * 256, TOKEN_END * 65536 + 65535
local EXPIRY_AT, DROPPED = {}, job_record.DROPPED
for byte = 0, job_record.NOTED - 1 do
  if byte % (2 * job_record.EXPIRES) >= job_record.EXPIRES and byte % (2 * job_record.WINDOW) < job_record.WINDOW then
    EXPIRY_AT[byte] = TOKEN_END + (byte % (2 * job_record.COST) >= job_record.COST and 6 or 2)
  end
end

-- Return the job id of a field (queue_id:job_id).
function job_record.job_id(queue_id, field)
  return sub(field, #queue_id + 2)
end

-- Return the job of a record. field: its field in jobs:<type>. due (µs): since when it is queued, until when it is
-- delayed or leased, or when it died.
function job_record.unpack(queue_id, field, raw)
  local _, length, state, flags, priority, seq, limit, attempt, enqueued, due, token_at = unpack_bytes(FORMAT, raw)
  local job = {
    queue_id = queue_id, field = field, state = state, flags = flags, priority = priority, seq = seq, limit = limit,
    attempt = attempt, enqueued = enqueued, due = due, raw = raw, payload_at = length + 1,
    payload_bytes = #raw - length,
  }
  if length >= token_at then
    local token = sub(raw, token_at, TOKEN_END)
    if token ~= NO_TOKEN then job.token = token end
    if length > TOKEN_END then job.newer = sub(raw, TOKEN_END + 1, length) end
  end
  return job
end

-- Return true if a job has a flag.
function job_record.has(job, flag)
  return job.flags % (2 * flag) >= flag
end

-- Give a job a flag.
function job_record.mark(job, flag)
  if not job_record.has(job, flag) then job.flags = job.flags + flag end
end

-- Return the flags of a job that do not end with its lease.
function job_record.lasting_flags(job)
  return job_record.has(job, job_record.TRACED) and job_record.TRACED or 0
end

-- Return how many slots of the rate a job takes.
function job_record.cost(job)
  local newer = job.newer
  if not newer or string.byte(newer) % (2 * job_record.COST) < job_record.COST then return 1 end
  return (unpack_bytes('>I4', newer, 2))
end

-- Return true if a byte has a flag.
local function has_bit(byte, flag)
  return byte % (2 * flag) >= flag
end

-- Return when a job with these rarely used fields expires (µs), or nil if it never does. newer: nil for none.
function job_record.expiry_in(newer)
  if not newer then return nil end
  local byte = string.byte(newer)
  if byte % (2 * job_record.EXPIRES) < job_record.EXPIRES then return nil end
  return (unpack_bytes('>I7', newer, has_bit(byte, job_record.COST) and 6 or 2))
end

-- Return when a job expires (µs), or nil if it never does.
function job_record.expires_at(job)
  return job_record.expiry_in(job.newer)
end

-- Return when the job of a record expires (µs), or nil, at a fraction of the cost of unpack.
function job_record.expiry_of(raw)
  if string.byte(raw, 2) <= job_record.TOKEN_END then return nil end
  local flags = string.byte(raw, job_record.TOKEN_END + 1)
  if flags % (2 * job_record.EXPIRES) < job_record.EXPIRES then return nil end
  return (unpack_bytes('>I7', raw, job_record.TOKEN_END + (has_bit(flags, job_record.COST) and 6 or 2)))
end

-- Return when the plain job of a record expires (µs), and true if it is dropped then; nil if it never does, or if the
-- job is not plain. A plain job is queued and has no flags and no rarely used fields besides its cost, its expiry, its
-- retry policy, and whether it is dropped. member: one of queued:<type>, to which a job with another seq does not
-- belong, so that it counts as not plain; nil for any. seq_at: where the seq of the member begins (seq_place).
function job_record.plain_expiry(raw, member, seq_at)
  local head, seq = unpack_bytes(HEAD, raw)
  if head % 65536 ~= PLAIN or head <= NO_RARE then return nil end
  local rare = string.byte(raw, TOKEN_END + 1)
  local place = EXPIRY_AT[rare]
  if not place or member and seq ~= unpack_bytes('>I8', member, seq_at) then return nil end
  return (unpack_bytes('>I7', raw, place)), rare >= DROPPED
end

-- Return where the seq begins in the members of a queue in queued:<type>.
function job_record.seq_place(queue_id)
  return #queue_id + 3
end

-- Return the bytes of the token, of the time of the enqueue, and of the attempt of a record with rarely used fields.
function job_record.remembered(raw)
  return sub(raw, LENGTH + 1, TOKEN_END), sub(raw, 21, 27), sub(raw, 17, 20)
end

-- Return true if a job has expired.
function job_record.is_expired(job, now)
  local at = job_record.expiry_in(job.newer)
  return at ~= nil and now >= at
end

-- Return true if a job goes when it expires, and does not become a dead letter.
function job_record.is_dropped(job)
  local newer = job.newer
  return newer and has_bit(string.byte(newer), job_record.DROPPED)
end

-- Return the rarely used fields of a job as a table: cost, expires_at (µs), retry (its bytes, retry_policy.lua), line
-- (the base of its line) and window (its number, 0 for a job that ignores windows), batch (its number), is_dropped,
-- is_noted, and newer_flags and rest of a newer version. nil: none, false or the usual value.
function job_record.rare(job)
  local newer = job.newer
  if not newer then return {cost = 1, newer_flags = 0, rest = ''} end
  local byte, at, rare = string.byte(newer), 2, {cost = 1, newer_flags = 0}
  if has_bit(byte, job_record.COST) then rare.cost, at = unpack_bytes('>I4', newer, at) end
  if has_bit(byte, job_record.EXPIRES) then rare.expires_at, at = unpack_bytes('>I7', newer, at) end
  if has_bit(byte, job_record.RETRY) then
    rare.retry, at = retry_policy.bytes(newer, at), at + retry_policy.LENGTH
  end
  if has_bit(byte, job_record.WINDOW) then
    rare.line, rare.window, at = unpack_bytes(job_record.WINDOW_FORMAT, newer, at)
  end
  if has_bit(byte, job_record.BATCH) then rare.batch, at = unpack_bytes(job_record.BATCH_FORMAT, newer, at) end
  rare.is_dropped, rare.is_noted = has_bit(byte, job_record.DROPPED), has_bit(byte, job_record.NOTED)
  if byte >= job_record.NEWER then rare.newer_flags = job_record.NEWER end
  rare.rest = sub(newer, at)
  return rare
end

-- Return the bytes of rarely used fields (see above), or nil if there are none.
function job_record.pack_rare(rare)
  local byte, fields = rare.newer_flags or 0, ''
  if rare.cost and rare.cost ~= 1 then
    byte, fields = byte + job_record.COST, pack_bytes('>I4', rare.cost)
  end
  if rare.expires_at then
    byte, fields = byte + job_record.EXPIRES, fields .. pack_bytes('>I7', rare.expires_at)
  end
  if rare.retry then
    byte, fields = byte + job_record.RETRY, fields .. rare.retry
  end
  if rare.line then
    byte = byte + job_record.WINDOW
    fields = fields .. pack_bytes(job_record.WINDOW_FORMAT, rare.line, rare.window)
  end
  if rare.batch then
    byte, fields = byte + job_record.BATCH, fields .. pack_bytes(job_record.BATCH_FORMAT, rare.batch)
  end
  if rare.is_dropped then byte = byte + job_record.DROPPED end
  if rare.is_noted then byte = byte + job_record.NOTED end
  return byte > 0 and string.char(byte) .. fields .. (rare.rest or '') or nil
end

-- Return the rarely used fields of a new job with the number of its batch. newer: those without it, nil for none.
function job_record.put_in_batch(newer, number)
  newer = newer or '\0'
  return string.char(string.byte(newer) + job_record.BATCH) .. sub(newer, 2)
    .. pack_bytes(job_record.BATCH_FORMAT, number)
end

-- Return the rarely used fields of a new job with the flag NOTED. The note of a new job is its trace. newer: those
-- without it, nil for none.
function job_record.put_note(newer)
  newer = newer or '\0'
  return string.char(string.byte(newer) + job_record.NOTED) .. sub(newer, 2)
end

-- Return true if a job has a note, which goes with its record (notes.lua).
function job_record.is_noted(job)
  local newer = job.newer
  return newer and has_bit(string.byte(newer), job_record.NOTED)
end

-- Note in a job that it has a note.
function job_record.note(job)
  if job_record.is_noted(job) then return end
  local rare = job_record.rare(job)
  rare.is_noted = true
  job.newer = job_record.pack_rare(rare)
end

-- Note in a job that it has no note any more.
function job_record.unnote(job)
  local rare = job_record.rare(job)
  rare.is_noted = false
  job.newer = job_record.pack_rare(rare)
end

-- Return where the retry policy stands or would stand among rarely used fields with these flags.
local function retry_place(byte)
  return 2 + (has_bit(byte, job_record.COST) and 4 or 0) + (has_bit(byte, job_record.EXPIRES) and 7 or 0)
end

-- Return where the fields behind the retry policy begin among rarely used fields with these flags.
local function window_place(byte)
  -- Most jobs with a window or a batch have no field before it. Each test is a function call, which costs more than
  -- the test.
  if byte % job_record.WINDOW == 0 then return 2 end
  return retry_place(byte) + (has_bit(byte, job_record.RETRY) and retry_policy.LENGTH or 0)
end

-- Return the retry policy of a job (retry_policy.lua), or nil.
function job_record.retry(job)
  local newer = job.newer
  local byte = newer and string.byte(newer) or 0
  return has_bit(byte, job_record.RETRY) and retry_policy.unpack(newer, retry_place(byte)) or nil
end

-- Return the base of the line and the number of the window (0: it ignores windows) of a job with these rarely used
-- fields, both nil if it stands in the main line, and true if it belongs to a batch. newer: nil for none.
function job_record.window_in(newer)
  local byte = newer and string.byte(newer) or 0
  local is_in_batch = byte % (2 * job_record.BATCH) >= job_record.BATCH
  if byte % (2 * job_record.WINDOW) < job_record.WINDOW then return nil, nil, is_in_batch end
  local line, window = unpack_bytes(job_record.WINDOW_FORMAT, newer, window_place(byte))
  return line, window, is_in_batch
end

-- Return the number of the batch of a job with these rarely used fields, or nil. newer: nil for none.
function job_record.batch_in(newer)
  local byte = newer and string.byte(newer) or 0
  if byte % (2 * job_record.BATCH) < job_record.BATCH then return nil end
  local at = window_place(byte)
  if has_bit(byte, job_record.WINDOW) then at = at + job_record.WINDOW_LENGTH end
  return (unpack_bytes(job_record.BATCH_FORMAT, newer, at))
end

-- Return the priority byte of a priority of the API, 1 (first) to 9.
function job_record.priority_byte(priority)
  return job_record.FIRST_PRIORITY + priority - 1
end

-- Return the priority of a job as the API has it.
function job_record.api_priority(job)
  return job.priority - job_record.FIRST_PRIORITY + 1
end

-- Return a job's payload. It is cut out of the record only on demand.
function job_record.payload(job)
  local payload = job.payload or sub(job.raw, job.payload_at)
  job.payload = payload
  return payload
end

-- Return the record of a job.
function job_record.pack(job)
  local extra = job.token or ''
  if job.newer then extra = (job.token or job_record.NO_TOKEN) .. job.newer end
  return pack_bytes(WRITTEN, 1, LENGTH + #extra, job.state, job.flags, job.priority, job.seq,
    job.limit, job.attempt, job.enqueued, job.due, extra, job.payload or sub(job.raw, job.payload_at))
end

-- Return the record of a job that was never leased. rare_fields: see pack_rare.
function job_record.pack_new(state, priority, seq, limit, enqueued, due, payload, rare_fields)
  local length, flags = LENGTH, 0
  if rare_fields then
    payload = job_record.NO_TOKEN .. rare_fields .. payload
    length = job_record.TOKEN_END + #rare_fields
    if has_bit(string.byte(rare_fields), job_record.NOTED) then flags = job_record.TRACED end
  end
  return pack_bytes(NEW, 1, length, state, flags, priority, seq, limit, 0, enqueued, due, payload)
end

-- Return the member of a new job in queued:<type>.
function job_record.new_member(queue_id, class_byte, seq, field)
  return queue_id .. '\0' .. class_byte .. pack_bytes('>I8', seq) .. sub(field, #queue_id + 2)
end

-- Return the class byte of a waiting job with a state, a priority byte and rarely used fields (nil for none).
function job_record.class_of(state, priority, newer)
  if state == DELAYED then return job_record.DELAYED_CLASS end
  local line = newer and job_record.window_in(newer)
  if line then return string.char(line + priority - job_record.FIRST_PRIORITY) end
  if priority == job_record.PRIORITY then return job_record.PRIORITY_CLASS end
  return string.char(priority)
end

-- Return the class byte of a waiting job.
function job_record.class_byte(job)
  return job_record.class_of(job.state, job.priority, job.newer)
end

-- Return the member of a waiting job in queued:<type>.
function job_record.member(job)
  return job_record.new_member(job.queue_id, job_record.class_byte(job), job.seq, job.field)
end

-- Return the bounds (for ZRANGE BYLEX) of the members of a queue's main line.
function job_record.bounds(queue_id)
  return '[' .. queue_id .. job_record.LINE_FROM, '(' .. queue_id .. job_record.LINE_TO
end

-- Return the bounds of a queue's members of a class with from <= seq < below. nil: from the first, or to the last of
-- the class.
function job_record.range(queue_id, class_byte, from, below)
  local start = queue_id .. '\0' .. class_byte
  return '[' .. start .. (from and pack_bytes('>I8', from) or ''),
    '(' .. start .. (below and pack_bytes('>I8', below) or job_record.LAST)
end

-- Return the bounds of a queue's members of the classes from `first` to `last` (numbers), in the first class behind a
-- seq (0: from the first).
function job_record.classes(queue_id, first, last, seq)
  local start = queue_id .. '\0'
  return '[' .. start .. string.char(first) .. (seq > 0 and pack_bytes('>I8', seq + 1) or ''),
    '(' .. start .. string.char(last) .. job_record.LAST
end

-- Return the job id of a member of queued:<type>.
function job_record.id_of_member(queue_id, member)
  return sub(member, #queue_id + 11)
end

-- Return the fields in jobs:<type> of the jobs of members of a queue.
function job_record.fields_of(queue_id, members)
  local fields, start, id_at = {}, queue_id .. ':', #queue_id + 11
  for index = 1, #members do fields[index] = start .. sub(members[index], id_at) end
  return fields
end

-- Return the class of a member of queued:<type>, as a number.
function job_record.class_of_member(queue_id, member)
  return string.byte(member, #queue_id + 2)
end

-- Return the base of the line of a class.
function job_record.line_of_class(class)
  return class - (class - job_record.FIRST_LINE) % job_record.LINE_WIDTH
end

-- Return the priority byte of a class, or DELAYED_NUMBER.
function job_record.priority_of_class(class)
  if class == job_record.DELAYED_NUMBER then return class end
  return job_record.FIRST_PRIORITY + class - job_record.line_of_class(class)
end

-- Return rarely used fields (nil for none) with the line of a window.
function job_record.put_in_line(newer, line, window)
  local rare = job_record.rare({newer = newer})
  rare.line, rare.window = line, window
  return job_record.pack_rare(rare)
end

-- Return the seq of a member of queued:<type>.
function job_record.seq_of_member(queue_id, member)
  return (unpack_bytes('>I8', member, #queue_id + 3))
end

-- Return the place of a member in the order of its queue: its priority byte (DELAYED_NUMBER for a delayed job), and its
-- seq.
function job_record.position(queue_id, member)
  return job_record.priority_of_class(job_record.class_of_member(queue_id, member)),
    job_record.seq_of_member(queue_id, member)
end
