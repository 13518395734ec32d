"""Holds the client's part about campaigns: batches of jobs, quotas of types, results and progress of jobs."""
