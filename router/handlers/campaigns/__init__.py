"""Handlers of requests about campaigns."""
