-- Lists that are made with their first entry, in the form that the store's commands take them: most calls need few.

-- Adds one or two values to a list, and returns it; false for one that is not made yet.
local function append(list, first, second)
  if not list then return {first, second} end
  local count = #list
  list[count + 1], list[count + 2] = first, second
  return list
end
