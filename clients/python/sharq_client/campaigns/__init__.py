"""The calls about campaigns: the results and the progress of jobs, and schedules."""
