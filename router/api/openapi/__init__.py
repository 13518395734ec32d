"""Builds the OpenAPI 3.1 document from the table of routes and the types of requests and answers."""

from __future__ import annotations

from router.api.openapi.document import build_openapi

__all__ = ["build_openapi"]
