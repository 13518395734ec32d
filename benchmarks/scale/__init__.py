"""Benchmarks of the growth with the number of jobs and queues: dequeues, memory, start, and an import."""
