"""Puts a bounded load on a server, and measures it: `sharq bench`."""
