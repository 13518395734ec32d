"""Reads the configuration as a start does, and reports every problem, or the origin of each setting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from sharq_core.config import Config, Key, assemble, parse_values
from sharq_core.config.kinds import Secret
from sharq_core.config.sources import Given, Layer, gather
from sharq_core.errors import ConfigError


class SettingInForce(msgspec.Struct, frozen=True):
    """One setting with its value in force.

    Attributes:
        value: the value as a number, a truth value, a text or a list of texts; None if there is none. A secret is ***.
        layer: the kind of place that gives it.
        origin: the place itself: a file, a variable or an option; empty for a default.
    """

    key: Key
    value: object
    layer: Layer
    origin: str


class Inspection(msgspec.Struct, frozen=True):
    """The result of an inspection.

    Attributes:
        problems: one line for each problem, as a start would report it; empty if the configuration is right.
        config: the configuration; None if there are problems.
        settings: every setting; empty if there are problems.
    """

    problems: tuple[str, ...]
    config: Config | None = None
    settings: tuple[SettingInForce, ...] = ()


def inspect(path: Path | None, environ: Mapping[str, str], options: Mapping[Key, str]) -> Inspection:
    """Read the configuration as `load` does. Report all problems instead of the first one.

    Contradictions between settings are checked once each setting is valid by itself, and only the first one is
    reported.
    """
    problems: list[str] = []
    gathered = gather(path, environ, options, problems.append)
    values = parse_values(gathered.given, problems.append)
    if problems:
        return Inspection(tuple(problems))
    try:
        config = assemble(gathered, values)
    except ConfigError as error:
        return Inspection((str(error),))
    settings = tuple(_in_force(key, value, gathered.given.get(key), path) for key, value in config.values())
    return Inspection((), config, settings)


def _in_force(key: Key, value: object, given: Given | None, path: Path | None) -> SettingInForce:
    if given is None:
        return SettingInForce(key, _shown(value), Layer.DEFAULT, "")
    origin = str(path) if given.layer is Layer.FILE else given.origin
    return SettingInForce(key, _shown(value), given.layer, origin)


def _shown(value: object) -> object:
    """Return a value in a form that JSON has. A secret stays one."""
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, tuple):
        return [_shown(part) for part in value]
    return value if value is None or isinstance(value, bool | int) else str(value)
