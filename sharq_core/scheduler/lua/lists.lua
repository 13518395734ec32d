-- Flat lists of command arguments. A list is made with its first value, because most calls need only a few of the lists
-- that a transaction can hold.
--
-- Uses: nothing

-- Add one or two values to a list, which may be false for one that does not exist yet. Returns the list.
local function append(list, first, second)
  if not list then return {first, second} end
  local count = #list
  list[count + 1], list[count + 2] = first, second
  return list
end
