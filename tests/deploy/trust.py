"""Sets the authorities that this process believes, for tests that speak TLS through urllib."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest


def trust(authorities: Path, environ: pytest.MonkeyPatch) -> None:
    """Believe the authorities of a PEM file until the patches are undone.

    urllib keeps what it read of the environment at its first request: that is forgotten, too.
    """
    environ.setenv("SSL_CERT_FILE", str(authorities))
    environ.setattr(urllib.request, "_opener", None)
