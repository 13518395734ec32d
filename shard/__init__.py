"""One shard node: it schedules the queues of the partitions that it owns.

It joins the calls of many requests into pipelines, knows which queue types have ready jobs, requeues ended leases, and
takes part in the membership. All truth is in the store, so a node that is killed loses nothing.
"""
