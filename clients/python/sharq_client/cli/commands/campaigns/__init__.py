"""The commands about campaigns: windows, schedules and batches."""
