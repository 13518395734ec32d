"""The calls about campaigns: windows, batches and schedules."""
