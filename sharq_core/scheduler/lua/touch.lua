-- touch: leave word for a partition's owner that a node which does not own it changed a type.
--
-- Keys: counters
-- Args: now, type ('' for any number of types), place of the type among the words (0-63)
-- Reply: {0, now, -1, -1}
-- Cost: O(1)

local touch = {}

function touch.run(own, args)
  touched.add(own, args[2], args[3])
  return {0, own.now, -1, -1}
end
