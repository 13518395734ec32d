"""The store: connections to Redis or Valkey servers, function calls on them, and what happens when one fails.

A pipeline that was sent is never sent again: what was not answered is reported as perhaps done. Which server is asked
is decided in `topology`, what has to be confirmed by replicas in `replication`, and the store of a single process is in
`embedded`.
"""
