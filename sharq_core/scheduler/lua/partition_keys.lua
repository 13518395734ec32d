-- The names of a partition's keys, derived from one of them. A joint call declares only that one key (README.md), so
-- the store reads nine names fewer for each of its calls. The names are kept between calls: 1 to 3 KB for each type and
-- partition. KEY_KINDS and KEY_OF_TYPE come from library.py.
--
-- Uses: shortcuts

local partition_keys = {
  MOST_CACHED = 16384,
  SUFFIX = #'counters',
  cache = {},  -- type -> counters key -> names
  count = 0,   -- lists in cache
}

local function make_names(counters_key, type)
  local tag, names = sub(counters_key, 1, -partition_keys.SUFFIX - 1), {}
  for number, name in ipairs(KEY_KINDS) do
    names[number] = KEY_OF_TYPE[name] and tag .. name .. ':' .. type or tag .. name
  end
  return names
end

-- Return the keys of a type in the partition with this counters key, numbered as in KEY.
function partition_keys.of(counters_key, type)
  local of_type = partition_keys.cache[type]
  local names = of_type and of_type[counters_key]
  if names then return names end
  if partition_keys.count == partition_keys.MOST_CACHED then
    partition_keys.cache, partition_keys.count, of_type = {}, 0, nil
  end
  if not of_type then
    of_type = {}
    partition_keys.cache[type] = of_type
  end
  names = make_names(counters_key, type)
  of_type[counters_key], partition_keys.count = names, partition_keys.count + 1
  return names
end
