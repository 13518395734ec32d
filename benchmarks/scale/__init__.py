"""Benchmarks with growing numbers of jobs and queues: dequeues, memory, start, and an import."""
