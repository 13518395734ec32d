-- Retry policies: how long a job waits after a failed attempt. A job, its queue and its gathered type may each have
-- one; the first of them that has one decides. All three records keep a policy in the same form.
--
-- A policy in memory: delay (ms) after the first attempt, factor (hundredths) for each further one, max (ms), and
-- jitter (hundredths): which share of the wait chance may take off.
--
-- Uses: shortcuts

local retry_policy = {
  FORMAT = '>I4I2I4B',  -- delay, factor, max, jitter; a factor of 0 means none
  FACTOR_AT = 4,
  LENGTH = 11,
  NONE = '\0\0\0\0\0\0\0\0\0\0\0',
  GOLDEN = 0.6180339887498949,
  MOST_GROWTH = 1e10,  -- from 1 ms to above every max; infinity times a delay of 0 would be no number
}

-- Return the policy at a position of a record, or nil for none.
function retry_policy.unpack(raw, at)
  -- The bytes of the factor cost less to read than all four numbers.
  local high, low = string.byte(raw, at + retry_policy.FACTOR_AT, at + retry_policy.FACTOR_AT + 1)
  if high == 0 and low == 0 then return nil end
  local delay, factor, max, jitter = unpack_bytes(retry_policy.FORMAT, raw, at)
  return {delay = delay, factor = factor, max = max, jitter = jitter}
end

-- Return the bytes of the policy at a position of a record, or nil for none.
function retry_policy.bytes(raw, at)
  local bytes = sub(raw, at, at + retry_policy.LENGTH - 1)
  return bytes ~= retry_policy.NONE and bytes or nil
end

-- Return the bytes of a policy. policy: nil for none.
function retry_policy.pack(policy)
  if not policy then return retry_policy.NONE end
  return pack_bytes(retry_policy.FORMAT, policy.delay, policy.factor, policy.max, policy.jitter)
end

-- Return a number from 0 to less than 1 for a lease. All leases of one call share the random bytes of their tokens, so
-- the number of the lease is added: multiples of the golden ratio spread evenly.
local function chance(token)
  local number, random = unpack_bytes('>I8I4', token)
  return (number * retry_policy.GOLDEN + random / 4294967296) % 1
end

-- Return how long a job waits (µs) after its newest lease.
function retry_policy.wait(policy, job)
  local growth = math.min((policy.factor / 100) ^ math.max(job.attempt - 1, 0), retry_policy.MOST_GROWTH)
  local wait = math.min(policy.delay * growth, policy.max)
  if policy.jitter > 0 and job.token then wait = wait * (1 - policy.jitter / 100 * chance(job.token)) end
  return math.floor(wait * 1000)
end
