"""The measurements behind the numbers that the documentation promises: `python -m benchmarks`.

The benchmarks stand by what they measure in `http`, `rates`, `life`, `store`, `scale`, `cluster` and `peers`. They use
`figures` (reports and goals), `processes` (the measured programs) and `load` (the load that several of them share).
"""
