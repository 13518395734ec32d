-- The rules for the store's function library, which `make check` checks as one text (tests/scheduler/lua_check.py).

std = 'lua51'
read_globals = {'redis', 'struct', os = {fields = {'clock'}}}

-- Parts of Lua 5.1 that the store's interpreter does not offer to functions.
not_globals = {'arg', 'debug', 'dofile', 'io', 'loadfile', 'module', 'package', 'print', 'require'}

max_line_length = 120
