"""The HTTP side: it parses requests, finds the shard that owns a queue, and answers.

It holds nothing that cannot be read again, so any number of routers stand side by side behind a load balancer. It never
reaches the store: every call goes to a shard, in the same process or over a link.
"""
