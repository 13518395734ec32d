"""Calls about jobs on their way to the store: batches by function and partition, pipelines by server.

What arrives in one tick of the event loop is sent together, and under load batches grow by themselves. Order within a
queue is kept.
"""
