-- The turns of the nodes that reserve slots of one cap: each gets a share in proportion to its weight.
--
-- cap.turns has a row for each node that asked lately: {node, virtual time, when it last asked}. The virtual time grows
-- by 1 / weight with each slot, so that the node with the least one is next. A node may be ahead by the slots of an
-- eighth of a horizon, because it asks only about twice in a horizon.
--
-- Uses: caps

local cap_turns = {
  ACTIVE_HORIZONS = 3,  -- a node competes until this many horizons after its latest request
  NEAR_PART = 4,        -- a slot nearer than this part of a horizon is for any node
  AHEAD_PART = 8,       -- a node may be ahead by the slots of this part of a horizon, and by one
  MOST = 64,
}

-- Return the least virtual time of the other nodes, nil if there are none.
local function least(cap, turn)
  local earliest
  for _, other in ipairs(cap.turns) do
    if other ~= turn and not (earliest and earliest <= other[2]) then earliest = other[2] end
  end
  return earliest
end

-- Return the turn of a node that asks now. One that has been away gets no credit for that time.
function cap_turns.enter(cap, node)
  local oldest, kept, own_turn = cap.now - cap_turns.ACTIVE_HORIZONS * caps.horizon(cap), {}, nil
  for _, turn in ipairs(cap.turns) do
    if turn[1] == node then
      if turn[3] >= oldest then own_turn = turn end
    elseif turn[3] >= oldest and #kept < cap_turns.MOST - 1 then
      kept[#kept + 1] = turn
    end
  end
  cap.turns = kept
  if not own_turn then
    own_turn = {node, 0, 0}
    own_turn[2] = least(cap, own_turn) or 0
  end
  own_turn[3] = cap.now
  kept[#kept + 1] = own_turn
  return own_turn
end

-- Return up to which virtual time it is the turn of a node, and how near a slot must be for any node (µs): the others
-- have let it pass. A node alone has every turn.
-- distance: between two slots (µs).
function cap_turns.bounds(cap, turn, weight, distance)
  local horizon = caps.horizon(cap)
  local ahead = math.max(distance > 0 and horizon / cap_turns.AHEAD_PART / distance or 1, 1)
  return (least(cap, turn) or math.huge) + ahead / weight, math.floor(horizon / cap_turns.NEAR_PART)
end
