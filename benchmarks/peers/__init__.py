"""Other systems, measured beside ours: how each is installed, run on the benchmark's store, and read.

The programs of this folder run in the peer's own environment and import nothing of this project.
"""
