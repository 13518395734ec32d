"""Connects the client to frameworks. Each folder needs its framework, and nothing else of the client imports it."""
