"""Holds what belongs to campaigns: batches of jobs, and the results and the progress of jobs."""
