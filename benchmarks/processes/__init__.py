"""The measured programs: stores, `sharq-server`, clusters and bare aiohttp, and their CPU time.

Each program runs for the length of a `with` block.
"""
