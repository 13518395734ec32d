-- Single finishes of leases that a file names, one a line: "queue_id job_id lease".
-- Args: the file
-- Past the file's end the requests name no job, so that they are counted as failures.

dofile("summary.lua")

local lines

function init(args)
  lines = io.lines(args[1])
end

function request()
  local queue_id, job_id, lease = string.match(lines and lines() or "", "(%S+) (%S+) (%S+)")
  if not lease then
    lines = nil
    return wrk.format("POST", "/finish/sms/none/none/")
  end
  return wrk.format("POST", "/finish/sms/" .. queue_id .. "/" .. job_id .. "/", nil, '{"lease":"' .. lease .. '"}')
end
