"""The access to the shards: the owners of partitions, the links, and second tries at another shard.

The directory follows the ring of members. The dispatch splits a call by owner and joins the answers. A shard in the
same process is called directly, a shard of a cluster over a link.
"""
