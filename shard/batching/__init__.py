"""The path of calls about jobs to the store: batches by function and partition, pipelines by server.

Calls that arrive in one tick of the event loop are sent together, and batches grow under load. The order within a
queue is kept.
"""
