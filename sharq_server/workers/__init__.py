"""The workers of `sharq-server --workers N`: processes that share one port and one store, and their parent process.

Each worker is router and shard, and serves every partition. The parent listens, hands the connections over, runs the
embedded store, and starts a worker again that has ended.
"""
