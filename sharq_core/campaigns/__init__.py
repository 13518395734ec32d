"""Holds the values of campaigns: send windows, quotas, batches and schedules."""
