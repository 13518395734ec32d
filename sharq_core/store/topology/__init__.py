"""Finds which server holds which keys: a single server, a Sentinel group or a Redis Cluster.

Each kind reads a layout. The store reads it again when a call fails, when a server announces a change, and every few
seconds.
"""
