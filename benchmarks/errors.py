"""Defines the errors for which a benchmark gives no number."""

from __future__ import annotations


class NotRun(Exception):
    """A missing tool or peer, named by the message, which is reported instead of a number."""


class Spoiled(Exception):
    """A run that failed, so that its numbers would mean nothing; the message gives the reason."""
