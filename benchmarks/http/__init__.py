"""Benchmarks of one `sharq-server` over HTTP: single calls, batches, long polls, and the client's worker."""
