-- The store's most used functions as locals. Reading them as globals would add 2 % to the cost of a call. The store
-- does not offer them yet while it loads the library, so the first call binds them.
--
-- Uses: nothing

local call, pack_bytes, unpack_bytes, sub

-- The clock of the store's CPU time, in seconds; false on Redis 7.0, which does not offer it to functions.
local cpu_clock

-- A name that the store does not offer is an error there.
local function find_clock()
  return os.clock
end

local function bind()
  call, pack_bytes, unpack_bytes, sub = redis.call, struct.pack, struct.unpack, string.sub
  local is_offered, clock_function = pcall(find_clock)
  cpu_clock = is_offered and clock_function
end
