-- What get_type_stats and set_type tell of a type.
--
-- Uses: shortcuts, clock, type_settings, queue_stats, explanation

local type_stats = {}

-- Return the reply. counts: nil for none. knows_life: the caller can decode the defaults of the lives of jobs.
function type_stats.reply(tx, counts, knows_life)
  local settings, reason, ready_in = tx.settings or type_settings.new(), explanation.of(tx, counts)
  counts = counts or {queued = 0, delayed = 0, leased = 0, dead = 0}
  local held_until = settings.held_until > tx.now and clock.shown(tx, settings.held_until) or -1
  local reply = {0, clock.told(tx), -1, -1, settings.is_paused and 1 or 0, settings.max_leased, held_until,
    counts.queued, counts.delayed, counts.leased, counts.dead, call('HLEN', tx.keys[KEY.queues]), reason, ready_in}
  if knows_life then queue_stats.add_life(settings, reply) end
  for _, limit in ipairs(settings.limits) do
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = limit.unit, limit.interval, limit.burst
  end
  return reply
end
