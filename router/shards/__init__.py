"""The way to the shards: which one owns a partition, the links to them, and what is tried again elsewhere.

The directory follows the ring of members, and the dispatch splits a call by owner and joins the answers. In one process
a shard is called directly; in a cluster over a link.
"""
