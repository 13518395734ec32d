"""Provides servers for the pages that are followed step by step, as the tests of the HTTP surface have them."""

from __future__ import annotations

from tests.api.conftest import own_server

__all__ = ["own_server"]
