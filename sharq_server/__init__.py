"""The programs that combine router and shard: `sharq-server` in one process, `sharq-cluster` in several.

This is the only package that imports both. `sharq-server` takes the original's command line and configuration file.
"""
