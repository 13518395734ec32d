"""Speaks HTTP to servers of the project: documented calls, hostile bodies, and a front before one handler."""
