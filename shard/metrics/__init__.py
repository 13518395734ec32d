"""The Prometheus metrics of a shard node and of its store.

They are read from the parts of the node when they are scraped, so that counting costs the calls next to nothing.
docs/metrics.md lists them.
"""
