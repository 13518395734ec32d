"""Which server holds which keys: a single server, a Sentinel group or a Redis Cluster.

Each kind reads a layout, which the store follows when something fails, when a server announces a change, and every few
seconds.
"""
