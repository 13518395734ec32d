-- The names of a partition's keys, made of one of them: a joint call declares only that one (README.md), and the store
-- has nine fewer to read for each call in it. They are kept between calls, a list of 1 KB a type and partition.

local partition_keys = {
  MOST_KNOWN = 4096,
  SUFFIX = #'counters',
}

local known, count = {}, 0

local function make(counters_key, type)
  local tag, names = sub(counters_key, 1, -partition_keys.SUFFIX - 1), {}
  for number, kind in ipairs(KEY_KINDS) do
    names[number] = KEY_OF_TYPE[kind] and tag .. kind .. ':' .. type or tag .. kind
  end
  return names
end

-- The keys of a type in the partition that has these counters, by the numbers of KEY.
function partition_keys.of(counters_key, type)
  local of_type = known[type]
  local names = of_type and of_type[counters_key]
  if names then return names end
  if count == partition_keys.MOST_KNOWN then known, count, of_type = {}, 0, nil end
  if not of_type then
    of_type = {}
    known[type] = of_type
  end
  names = make(counters_key, type)
  of_type[counters_key], count = names, count + 1
  return names
end
