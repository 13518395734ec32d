"""Runs shard nodes and links inside the test's own process."""
