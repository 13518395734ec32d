"""The measurements behind the numbers that the documentation promises: `python -m benchmarks`."""
