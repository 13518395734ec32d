"""What a shard computes ahead by the calendar: the slots of schedules."""
