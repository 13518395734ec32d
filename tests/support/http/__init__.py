"""Speaks HTTP to servers of the project: documented calls, hostile bodies, and a gateway before one handler."""
