"""The calendar of a shard: the times at which windows open and periods end, computed ahead for its partitions."""
