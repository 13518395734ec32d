"""Writes configuration files for tests, and catches refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sharq_core.config import (
    Config,
    Key,
    load,
)
from sharq_core.errors import ConfigError

WriteConfig = Callable[[str | bytes], Path]


def refusal(path: Path | None, environ: dict[str, str] | None = None, **options: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(path, environ or {}, {Key("sharq-server", name): text for name, text in options.items()})
    return str(refused.value)


def value(config: Config, section: str, field: str) -> object:
    settings = {"sharq-server": config.server}.get(section)
    found: object = getattr(settings or getattr(config, section), field)
    return found
