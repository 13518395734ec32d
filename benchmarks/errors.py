"""What can come between a benchmark and its number."""

from __future__ import annotations


class NotRun(Exception):
    """A tool or a peer is missing here; the message says which. It is reported in place of a number."""


class Spoiled(Exception):
    """The run went wrong, so that its numbers would mean nothing; the message says how."""
