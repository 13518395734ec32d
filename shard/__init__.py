"""One shard node: it schedules the partitions it owns. It knows no HTTP API."""
