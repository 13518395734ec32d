"""What belongs to campaigns: the results and the progress of jobs."""
