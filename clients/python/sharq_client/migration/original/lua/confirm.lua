-- confirm: forget the journal of a queue whose jobs the new server has. The jobs that it did not take stay here.
--
-- Keys: 1 job list of the queue, 2 payloads, 3 remaining requeues of the queue, 4 journal of the queue,
--       5 queues with a journal, 6 refused jobs, 7 intervals that the new server knows,
--       8 number of the latest run
-- Args: queue type and id with a colon between, number of this run, interval that the new server knows now ('' for no
--       news), number of jobs to put back at the head of the queue, their ids, and for each refused job its id and the
--       reason
-- Reply: nothing
-- Errors: SUPERSEDED, a later run goes on with the import; nothing was done
-- Cost: O(jobs)
if redis.call('GET', KEYS[8]) ~= ARGV[2] then return redis.error_reply(SUPERSEDED) end
local field, interval, count = ARGV[1], ARGV[3], tonumber(ARGV[4])
local rows = {}
if #ARGV > 4 then
  local journal = redis.call('LRANGE', KEYS[4], 0, -1)
  for at = 1, #journal, 4 do rows[journal[at]] = { journal[at + 2], journal[at + 3] } end
end

-- Put the payload of a job back to where the original has it, unless a new job of the same id is there by now.
local function restore(job_id)
  redis.call('HSETNX', KEYS[2], field .. ':' .. job_id, rows[job_id][2])
  redis.call('HSETNX', KEYS[3], job_id, rows[job_id][1])
end

for at = 4 + count, 5, -1 do
  restore(ARGV[at])
  if redis.call('LINSERT', KEYS[1], 'AFTER', MARK, ARGV[at]) < 1 then redis.call('LPUSH', KEYS[1], ARGV[at]) end
end
for at = 5 + count, #ARGV, 2 do
  restore(ARGV[at])
  redis.call('HSET', KEYS[6], field .. ':' .. ARGV[at], ARGV[at + 1])
end
if interval ~= '' then redis.call('HSET', KEYS[7], field, interval) end
redis.call('DEL', KEYS[4])
redis.call('ZREM', KEYS[5], field)
