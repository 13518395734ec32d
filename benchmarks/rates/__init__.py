"""Benchmarks of rates and caps: whether they are kept and used, how evenly, and what they cost.

lease_times.py judges them by the times of the leases.
"""
