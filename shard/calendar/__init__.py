"""Computes ahead of time when windows open, when periods of quotas end, and when schedules are due."""
