-- The records of schedules. The partition of a schedule's queue has its record and its job, so that one step enqueues
-- the job and sets the next slot. The home partition of the name says which partitions may have a record of it.
--
-- schedules      <name> -> HEAD, the queue's type, its id, the rule (opaque to the store)
--                ':'<name> -> HOME, then the partitions (2 bytes each)
-- schedule_jobs  <name> -> length of the header (2), header (enqueue_job.lua), length of the entry (4), the entry as it
--                          was given, without its payload (opaque to the store), payload
--
-- A version is the store's clock at the home partition when a change was begun, in µs, or later. A change first gets
-- its version from the home partition, and then goes to each partition that the home names. There a lower version never
-- replaces a higher one: also where a schedule was dropped, whose record stays for a while for that (DROPPED).
--
-- Uses: shortcuts

local schedule_record = {
  -- format, flags, version, next slot (µs, the store's clock; 0: none), latest slot that was fired (0: none), status of
  -- its enqueue plus 1 (0: none), number of firings, since when the record is dropped, lengths of type and queue id
  HEAD = '>BBI7I7I7BI6I7BB',
  HEAD_LENGTH = 39,
  HOME = '>BBI7I2',  -- format, flags, version, number of partitions
  HOME_LENGTH = 11,
  HOME_PREFIX = ':',
  PAUSED = 1, DROPPED = 2,
  MOST = 20000,  -- schedules of a partition
  KEEP_US = 600000000,  -- how long the record of a dropped schedule is kept
  DONE = 0, NOT_FOUND = 1, SUPERSEDED = 2, FULL = 3, CHANGED = 4,
}

-- Return the schedule of a record. A dropped one has is_dropped.
function schedule_record.unpack(name, raw)
  local _, flags, version, slot, last, status, fired, since, type_length, id_length =
    unpack_bytes(schedule_record.HEAD, raw)
  local at = schedule_record.HEAD_LENGTH + 1
  return {name = name, is_paused = flags % 2 == 1, is_dropped = flags >= schedule_record.DROPPED, version = version,
    slot = slot, last = last, status = status, fired = fired, since = since,
    type = sub(raw, at, at + type_length - 1), queue_id = sub(raw, at + type_length, at + type_length + id_length - 1),
    rule = sub(raw, at + type_length + id_length)}
end

-- Return the schedule of a name, or nil.
function schedule_record.read(tx, name)
  local raw = call('HGET', tx.keys[KEY.schedules], name)
  return raw and schedule_record.unpack(name, raw) or nil
end

-- Write the record of a schedule.
function schedule_record.write(tx, schedule)
  local flags = (schedule.is_paused and schedule_record.PAUSED or 0)
    + (schedule.is_dropped and schedule_record.DROPPED or 0)
  call('HSET', tx.keys[KEY.schedules], schedule.name,
    pack_bytes(schedule_record.HEAD, 1, flags, schedule.version, schedule.slot, schedule.last, schedule.status,
      schedule.fired, schedule.since, #schedule.type, #schedule.queue_id)
    .. schedule.type .. schedule.queue_id .. schedule.rule)
end

-- Drop the schedule of a name. Its record refuses changes of lower versions that are still under way.
function schedule_record.drop(tx, name, version)
  call('HDEL', tx.keys[KEY.schedule_jobs], name)
  schedule_record.write(tx, {name = name, is_dropped = true, version = version, slot = 0, last = 0, status = 0,
    fired = 0, since = tx.now, type = '', queue_id = '', rule = ''})
end

-- Return the schedule as a reply has it: ROW values of schedules.py.
function schedule_record.row(schedule)
  return schedule.name, schedule.version, schedule.is_paused and 1 or 0, schedule.is_dropped and 1 or 0, schedule.slot,
    schedule.last, schedule.status, schedule.fired, schedule.since, schedule.type, schedule.queue_id, schedule.rule
end

-- Return the job of a schedule: its header, its entry and its payload.
function schedule_record.job(tx, name)
  local raw = call('HGET', tx.keys[KEY.schedule_jobs], name)
  local header_length = unpack_bytes('>I2', raw)
  local entry_length = unpack_bytes('>I4', raw, 3 + header_length)
  local entry_at = 7 + header_length
  return sub(raw, 3, 2 + header_length), sub(raw, entry_at, entry_at + entry_length - 1),
    sub(raw, entry_at + entry_length)
end

-- Write the job of a schedule.
function schedule_record.write_job(tx, name, header, entry, payload)
  call('HSET', tx.keys[KEY.schedule_jobs], name,
    pack_bytes('>I2', #header) .. header .. pack_bytes('>I4', #entry) .. entry .. payload)
end

-- Return what the home partition of a name knows: version, is_paused and partitions; nil for an unknown name.
function schedule_record.home(tx, name)
  local raw = call('HGET', tx.keys[KEY.schedules], schedule_record.HOME_PREFIX .. name)
  if not raw then return nil end
  local _, flags, version, count = unpack_bytes(schedule_record.HOME, raw)
  local partitions = {}
  for index = 1, count do
    partitions[index] = unpack_bytes('>I2', raw, schedule_record.HOME_LENGTH + 2 * index - 1)
  end
  return {is_paused = flags % 2 == 1, version = version, partitions = partitions}
end

-- Write what the home partition of a name knows.
function schedule_record.write_home(tx, name, home)
  local raw = pack_bytes(schedule_record.HOME, 1, home.is_paused and schedule_record.PAUSED or 0, home.version,
    #home.partitions)
  for _, partition in ipairs(home.partitions) do raw = raw .. pack_bytes('>I2', partition) end
  call('HSET', tx.keys[KEY.schedules], schedule_record.HOME_PREFIX .. name, raw)
end
