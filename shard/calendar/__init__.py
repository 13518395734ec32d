"""Holds what a shard reckons ahead: when windows open, when periods of quotas end, and when schedules are due."""
