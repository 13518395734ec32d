"""Benchmarks of the price of a job in the store: of its functions, of each feature, and of each durability."""
