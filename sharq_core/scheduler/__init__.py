"""The scheduler: one Lua function for each step, one Python method for each function, and the keys they work on."""
