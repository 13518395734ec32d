"""The scheduler: one method for each function of the store's library, and the library itself in `lua/`.

A method packs the arguments of one function and names the decoder of its reply. The rules are in Lua, where they are
atomic; `lua/README.md` describes the keys and the states of a job.
"""
