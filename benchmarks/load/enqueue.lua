-- Single enqueues, over the queues in turn.
-- Args: word that begins each job_id, number of queues, interval (ms)

dofile("summary.lua")

local sent, word, queues, interval = 0, nil, nil, nil
local body = '{"job_id":"%s-%d","interval":%s,"payload":{"message":"hello, world","to":"4912345678"}}'

function init(args)
  word, queues, interval = args[1], tonumber(args[2]), args[3]
end

function request()
  sent = sent + 1
  return wrk.format("POST", "/enqueue/sms/q" .. sent % queues .. "/", nil, body:format(word, sent, interval))
end
