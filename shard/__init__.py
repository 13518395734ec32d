"""One shard node: it schedules the queues of the partitions that it owns.

A shard merges the calls of many requests into pipelines, knows which queue types have ready jobs, requeues the jobs of
ended leases, and takes part in the membership. All state is in the store, so a node that is killed loses nothing.
"""
