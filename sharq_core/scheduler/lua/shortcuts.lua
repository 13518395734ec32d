-- The store's most used functions as locals. Reading them as globals would add 2 % to the cost of a call. The store
-- does not offer them yet while it loads the library, so the first call binds them.
--
-- Uses: nothing

local call, pack_bytes, unpack_bytes, sub

local function bind()
  call, pack_bytes, unpack_bytes, sub = redis.call, struct.pack, struct.unpack, string.sub
end
