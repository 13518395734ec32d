"""Provides a running sharq-server, as the tests of the HTTP surface have it: each test uses types of its own."""

from tests.api.conftest import http, kind, own_server, serve, server, start, store

__all__ = ["http", "kind", "own_server", "serve", "server", "start", "store"]
