-- get_schedule: return what a partition knows of a schedule. Writes nothing.
--
-- Keys: schedules schedule_jobs
-- Args: now, '', name
-- Reply: {0, now, -1, -1, {version, 1 if it is paused, partitions that may have a record} if this is the home partition
--        of a known name, else {}, {the row of the schedule (schedule_record.row)} or {}, entry, payload}
-- Cost: O(size of the job)
--
-- Uses: unit, schedule_record

local get_schedule = {}

function get_schedule.run(tx, args, first)
  local name = args[first]
  local home, schedule = schedule_record.home(tx, name), schedule_record.read(tx, name)
  local home_row = home and {home.version, home.is_paused and 1 or 0, unpack(home.partitions)} or {}
  if not schedule then return unit.reply(tx, home_row, {}, '', '') end
  if schedule.is_dropped then return unit.reply(tx, home_row, {schedule_record.row(schedule)}, '', '') end
  local _, entry, payload = schedule_record.job(tx, name)
  return unit.reply(tx, home_row, {schedule_record.row(schedule)}, entry, payload)
end
