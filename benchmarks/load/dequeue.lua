-- Single dequeues.

dofile("summary.lua")

function request()
  return wrk.format("GET", "/dequeue/sms/")
end
