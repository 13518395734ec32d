"""Provides clients that work for the length of a test and note what they did, and the checker of their notes."""
