"""Holds what belongs to campaigns: windows, batches, and the results and the progress of jobs."""
