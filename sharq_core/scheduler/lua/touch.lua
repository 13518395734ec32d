-- touch: tell a partition's owner that a node which does not own it changed a type.
--
-- Keys: counters
-- Args: now, type ('' for any number of types), place of the type among the notes (0-63)
-- Reply: {0, now, -1, -1}
-- Cost: O(1)
--
-- Uses: touched

local touch = {}

function touch.run(tx, args)
  touched.add(tx, args[2], args[3])
  return {0, tx.now, -1, -1}
end
