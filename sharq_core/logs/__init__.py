"""Writes the log lines of a process, and holds the words in them.

Threads write the lines, so that a stalled reader blocks no service. Lasting problems are repeated every 30 s. Events
that strangers cause are rate-limited.
"""
