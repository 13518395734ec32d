-- The names of a partition's keys, made of one of them: a joint call declares only that one (README.md), and the store
-- has nine fewer to read for each call in it. They are kept between calls, a list of 1 to 3 KB a type and partition.

local partition_keys = {
  MOST_KNOWN = 16384,
  SUFFIX = #'counters',
  known = {},  -- type -> counters key -> names
  count = 0,   -- lists in it
}

local function make_names(counters_key, type)
  local tag, names = sub(counters_key, 1, -partition_keys.SUFFIX - 1), {}
  for number, kind in ipairs(KEY_KINDS) do
    names[number] = KEY_OF_TYPE[kind] and tag .. kind .. ':' .. type or tag .. kind
  end
  return names
end

-- The keys of a type in the partition that has these counters, by the numbers of KEY.
function partition_keys.of(counters_key, type)
  local of_type = partition_keys.known[type]
  local names = of_type and of_type[counters_key]
  if names then return names end
  if partition_keys.count == partition_keys.MOST_KNOWN then
    partition_keys.known, partition_keys.count, of_type = {}, 0, nil
  end
  if not of_type then
    of_type = {}
    partition_keys.known[type] = of_type
  end
  names = make_names(counters_key, type)
  of_type[counters_key], partition_keys.count = names, partition_keys.count + 1
  return names
end
