-- look_at_data: check if this is the data set that the caller remembers. It writes, so that only a primary answers.
--
-- Keys: partitions identity
-- Args: now, '', number of partitions, id and generation that the caller remembers ('' and 0 for none: it only asks),
--       its node_id, when it last found that id here (µs, the store's clock)
-- Reply: {0, now, -1, -1, then the rest of identity.describe}, as before the call
-- Cost: O(1)
--
-- A caller that does not find its data set leaves a note that it misses it. If there is no record, or one that was
-- begun after the caller last found its own, that note tells nodes that start on the emptied store that this is not a
-- new deployment, and the caller's number of partitions holds. An older data set, as after SWAPDB, belongs to another
-- deployment and continues.
--
-- Uses: shortcuts, identity

local look_at_data = {}

-- Note that the caller misses its data set.
local function note_missing(tx, args, record)
  if record.missed[args[4]] or record.missed_count >= identity.MOST_MISSED then return end
  local key, is_newer = tx.keys[KEY.identity], not record.id or record.created > tonumber(args[7])
  if not record.id and record.missed_count == 0 then call('DEL', key) end
  call('HSET', key, identity.MISSED .. args[4], args[5] .. (is_newer and ' 1 ' or ' 0 ') .. args[6])
  if is_newer then
    call('HSET', key, 'partitions', args[3])
    call('SET', tx.keys[KEY.partitions], args[3])
  end
end

function look_at_data.run(tx, args)
  local record, id = identity.read(tx), args[4]
  local reply = identity.describe(tx, record, identity.number(tx, record))
  if id == '' then return reply end
  if record.id == id then
    local key = tx.keys[KEY.identity]
    call('HSET', key, 'pulse', record.pulse + 1, 'pulsed', string.format('%.0f', tx.now))
    if record.missed[id] then call('HDEL', key, identity.MISSED .. id) end
  elseif not identity.has_followed(record.follows, id) then
    note_missing(tx, args, record)
  end
  return reply
end
