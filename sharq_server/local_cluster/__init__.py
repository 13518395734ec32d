"""`sharq-cluster`: routers, shards and a store on one machine, started and stopped as one.

It is meant for trying a cluster out and for tests. Every child process ends with it.
"""
