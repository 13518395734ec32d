"""Holds the part of the client about campaigns: windows, quotas, batches, schedules, results and progress."""
