"""Provides TCP ways to a server that fail as the test says."""
