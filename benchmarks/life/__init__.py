"""Benchmarks of the life of jobs: many that expire, are cancelled, or wait for a send window to open."""
