"""Benchmarks of routers and shards as processes of their own: CPU time in each tier, the link, and a failover."""
