"""`sharq-cluster`: routers, shards and a store on one machine, started and stopped together.

It is meant for trials and tests. Every child process ends with it.
"""
