"""Holds the client's part about campaigns: batches, schedules, quotas of types, results and progress of jobs."""
