"""The Prometheus metrics of a shard node and of its store.

They are read from the node's parts at each scrape, so that counting costs calls next to nothing.
docs/metrics.md lists them.
"""
