"""Holds what belongs to campaigns: quotas of types, and the results and the progress of jobs."""
