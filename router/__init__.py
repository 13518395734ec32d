"""The HTTP side: it parses requests, finds the shard that owns a queue, and responds.

A router keeps only state that it can read again, so any number of routers can run behind a load balancer. It never
accesses the store: every call goes to a shard, in the same process or over a link.
"""
