"""Stores with the function library loaded."""

from __future__ import annotations

from tests.scheduler.conftest import client, shared_client

__all__ = ["client", "shared_client"]
