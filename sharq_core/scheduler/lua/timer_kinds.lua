-- The kinds of timers. The kind is the first byte of a member of timers:<type>; an id follows it. timers.lua lists the
-- ids and runs the timers.
--
-- Uses: nothing

local LEASE_TIMER = 'L'
local DELAY_TIMER = 'D'
local IDLE_TIMER = 'Q'
local SWEEP_TIMER = 'F'
local EXPIRY_TIMER = 'E'
local LETTERS_TIMER = 'X'
local BATCH_TIMER = 'B'
local SETTLE_TIMER = 'P'
