-- Batches: jobs of a type that carry the same name, counted by state in each partition.
--
-- Uses: job_record

local batches = {}

-- Count a job that enters (1) or leaves (-1) a state: queued, delayed, leased, finished, dead or cancelled. newer: the
-- rarely used fields of the job.
function batches.count(tx, newer, state, difference) -- luacheck: ignore 212
  if not job_record.batch_in(newer) then return end
end
