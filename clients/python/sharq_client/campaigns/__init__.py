"""Holds the values that queues share or that many jobs have: windows, quotas, caps, batches and schedules."""
