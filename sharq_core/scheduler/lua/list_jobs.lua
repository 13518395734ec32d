-- list_jobs: return a page of the jobs of a queue in one state. Writes nothing.
--
-- Keys: queued jobs timers queues counters notes
-- Args: now, type, queue_id, state (1 queued, 2 delayed, 3 leased), prefix of the job ids ('' for all), most jobs,
--       bytes of records to stay below (one job is returned in any case), then, in all pages but the first, where to go
--       on: class and seq of a waiting job, or for leased ones a cursor of ZSCAN and '' or a job id ('' and '' in the
--       first page if more follows), and '2' for jobs with their progress, which nodes of revision 5 cannot decode,
--       '3' with their traces, too, which nodes of revision 7 cannot decode, or '4' with the reasons why they wait,
--       too, which nodes of revision 14 cannot decode
-- Reply: {0, now, -1, -1, cursor (two values; '' and '' at the end), then for each job: job_id, the job
--        (job_status.add, without its position)}
--        Queued jobs come in the order in which they leave their queue, delayed ones in that of their enqueues, leased
--        ones in none. A page of leased jobs may be a few jobs longer, and pages may repeat one.
-- Cost: O(log n) a job, and at most queue_walk.VISITS members or timers
--
-- Uses: shortcuts, timer_kinds, clock, job_record, counters, unit, job_status, queue_walk

local list_jobs = {DELAYED = 255, AHEAD = 8}

-- Return a function that adds a job to a page, and returns false if it has no room.
local function open_page(tx, reply, queue_id, limit, budget)
  local count, bytes = 0, 0
  return function(job_id, must_take)
    if not must_take and (count == limit or count > 0 and bytes > budget) then return false end
    local job = unit.job(tx, queue_id, queue_id .. ':' .. job_id)
    if job then
      reply[#reply + 1] = job_id
      job_status.add(tx, reply, job, 0)
      count, bytes = count + 1, bytes + #job.raw
    end
    return true
  end, function() return limit - count, bytes > budget end
end

-- List waiting jobs. Returns the cursor.
local function list_waiting(tx, queue, state, prefix, at, add)
  local first = state == DELAYED and list_jobs.DELAYED or job_record.FIRST_PRIORITY
  local queue_id, class, seq = queue.queue_id, tonumber(at[1]) or first, tonumber(at[2]) or 0
  local row, is_last
  if state == DELAYED then
    row = queue_walk.members(tx, queue, class, seq, first, queue_walk.VISITS)
    is_last = #row < queue_walk.VISITS
  else
    row, is_last = queue_walk.queued(tx, queue, class, seq, queue_walk.VISITS)
  end
  for _, member in ipairs(row) do
    local job_id = job_record.id_of_member(queue_id, member)
    if sub(job_id, 1, #prefix) == prefix and not add(job_id) then return class, seq end
    class, seq = job_record.position(queue_id, member)
  end
  if is_last then return '', '' end
  return class, seq
end

-- Return the ids of jobs whose lease timers a reply of ZSCAN has, sorted. start: what all of those timers begin with.
local function leased_ids(queue_id, row, start)
  local ids = {}
  for index = 1, #row, 2 do
    local timer = row[index]
    if sub(timer, 1, #start) == start then ids[#ids + 1] = sub(timer, #queue_id + 3) end
  end
  table.sort(ids)
  return ids
end

-- List the jobs of a small set of timers, which the store returns as a whole: those behind an id. Returns the cursor.
local function list_whole(ids, after, add)
  local last = after
  for _, job_id in ipairs(ids) do
    if job_id > after then
      if not add(job_id) then return '0', last end
      last = job_id
    end
  end
  return '', ''
end

-- List leased jobs. A scan of a large set returns a few timers at a time, and all of them are taken, so that none is
-- missed. Returns the cursor.
local function list_leased(tx, queue, prefix, at, add, room)
  local start = LEASE_TIMER .. queue.queue_id .. ':' .. prefix
  local scan, visited = at[1] and at[1] ~= '' and at[1] or '0', 0
  repeat
    local count = math.max(math.min(room(), list_jobs.AHEAD), 1)
    local page = call('ZSCAN', tx.keys[KEY.timers], scan, 'COUNT', count)
    local ids, is_whole = leased_ids(queue.queue_id, page[2], start), scan == '0' and page[1] == '0'
    if is_whole then return list_whole(ids, at[2] or '', add) end
    for _, job_id in ipairs(ids) do add(job_id, true) end
    scan, visited = page[1], visited + count
    local jobs_left, is_over = room()
  until scan == '0' or visited >= queue_walk.VISITS or jobs_left <= 0 or is_over
  if scan == '0' then return '', '' end
  return scan, ''
end

function list_jobs.run(tx, args)
  counters.see(tx)
  local queue_id, state, reply = args[3], tonumber(args[4]), {0, clock.store_time(tx), -1, -1, '', ''}
  local queue = unit.queue(tx, queue_id)
  if not queue then return reply end
  local at = {args[8], args[9]}
  job_status.ask(tx, args[10])
  local add, room = open_page(tx, reply, queue_id, tonumber(args[6]), tonumber(args[7]))
  if state == LEASED then
    reply[5], reply[6] = list_leased(tx, queue, args[5], at, add, room)
  else
    reply[5], reply[6] = list_waiting(tx, queue, state, args[5], at, add)
  end
  return reply
end
