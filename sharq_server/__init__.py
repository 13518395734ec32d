"""The programs that put router and shard together: `sharq-server` in one process, `sharq-cluster` in several.

This is the only package above both. `sharq-server` takes the original's command line and configuration file.
"""
