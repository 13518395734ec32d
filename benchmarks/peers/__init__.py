"""Other systems, measured beside ours: how each is installed, run on the benchmark's store, and read.

The programs of `programs` run in the peer's own environment.
"""
