"""Connects to Redis or Valkey servers, runs function calls on them, and handles their failures.

A pipeline that was sent is never sent again: an unanswered call is reported as perhaps done. `topology` decides which
server is asked, `replication` which replicas must confirm, and `embedded` runs the store of a single process.
"""
