-- The state of a type in the replies of get_type_stats and set_type.
--
-- Uses: shortcuts, clock, type_settings, queue_stats, explanation

local type_stats = {}

-- Add the window of a type ('' for none) and its quotas to a reply.
local function add_campaigns(tx, settings, reply)
  local list = settings.quotas or {}
  queue_stats.add_window(tx, settings, reply)
  local at = #reply + 1
  reply[at] = #list
  for _, quota in ipairs(list) do
    reply[at + 1], reply[at + 2], reply[at + 3] = quota.unit, quota.quota, quota.period
    reply[at + 4], reply[at + 5], reply[at + 6] = quota.tz, quota.used, quota.is_stale and -1 or quota.ends
    at = at + 6
  end
end

-- Return the reply. counts: nil for none. knows_life, knows_campaigns, knows_caps: the caller can decode the defaults
-- of the lives of jobs, the settings of campaigns, and caps as the reason why nothing is leased.
function type_stats.reply(tx, counts, knows_life, knows_campaigns, knows_caps)
  local settings, reason, ready_in, names = tx.settings or type_settings.new(), explanation.of(tx, counts, knows_caps)
  counts = counts or {queued = 0, delayed = 0, leased = 0, dead = 0}
  local held_until = settings.held_until > tx.now and clock.shown(tx, settings.held_until) or -1
  local reply = {0, clock.store_time(tx), -1, -1, settings.is_paused and 1 or 0, settings.max_leased, held_until,
    counts.queued, counts.delayed, counts.leased, counts.dead, call('HLEN', tx.keys[KEY.queues]), reason, ready_in}
  if knows_life then queue_stats.add_life(settings, reply) end
  if knows_campaigns then add_campaigns(tx, settings, reply) end
  if knows_caps then reply[#reply + 1] = names end
  for _, limit in ipairs(settings.limits) do
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = limit.unit, limit.interval, limit.burst
  end
  return reply
end
