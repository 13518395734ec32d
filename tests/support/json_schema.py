"""Provides jsonschema without the formats of addresses, which no schema here uses.

jsonschema loads rfc3987_syntax if it is installed. That compiles a grammar for 2 s, in each test process.
"""

from __future__ import annotations

import sys
from typing import Any

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: an import of it fails

import jsonschema  # noqa: E402

__all__ = ["Draft202012Validator", "validate"]

Draft202012Validator: Any = jsonschema.Draft202012Validator
validate: Any = jsonschema.validate
