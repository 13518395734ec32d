"""Defines the error that stops a release."""

from __future__ import annotations


class ReleaseError(Exception):
    """The release cannot be built, or what was built is not right. The message says what to do."""
