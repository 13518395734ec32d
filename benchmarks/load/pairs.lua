-- A worker's dequeues and finishes: each job that an answer brings is finished by the next request.

dofile("summary.lua")

local leased = {}

function request()
  local finish = table.remove(leased)
  return finish or wrk.format("GET", "/dequeue/sms/")
end

function response(status, headers, body)
  local job_id, queue_id = string.match(body, '"job_id": *"([^"]+)"'), string.match(body, '"queue_id": *"([^"]+)"')
  if job_id and queue_id then
    table.insert(leased, wrk.format("POST", "/finish/sms/" .. queue_id .. "/" .. job_id .. "/", nil, "{}"))
  end
end
