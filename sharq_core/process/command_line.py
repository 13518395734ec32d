"""The parts that the four command lines share: `--config`, `--version`, examples and notices."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from sharq_core.config import Config, Key, load
from sharq_core.logs.setup import log_to_stderr
from sharq_core.process.sighup import on_reload
from sharq_core.version import __version__

log = logging.getLogger("sharq.process")

ACCEPT_HELP = (
    "do not serve; accept that the store has lost data, so that its nodes continue with what it holds now"
)
"""The help text of the option `--accept-data-loss`, which two of the commands have."""


class SettingOption(Struct, frozen=True):
    """An option that gives a setting on the command line.

    Attributes:
        flag: the option, such as `--port`.
        key: the setting that it gives.
        metavar: the name of its value in the help text.
        help: the help text.
    """

    flag: str
    key: Key
    metavar: str
    help: str


class CommonArguments(argparse.Namespace):
    """The arguments that all commands have.

    Attributes:
        config: the configuration file; None for none.
        settings: the text of each setting given by an option.
    """

    config: Path | None
    settings: Mapping[Key, str]


def make_parser(
    program: str,
    description: str,
    examples: str,
    config_help: str,
    options: Sequence[SettingOption] = (),
) -> argparse.ArgumentParser:
    """Return a parser that knows `--config`, `--version` and the options that give settings."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help=config_help)
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    parser.set_defaults(settings={})
    for option in options:
        parser.add_argument(
            option.flag,
            action=_KeepSetting,
            const=option.key,
            default=argparse.SUPPRESS,
            metavar=option.metavar,
            help=option.help,
        )
    return parser


class _KeepSetting(argparse.Action):
    """The action of an option that gives a setting; `const` is the key."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        text: str | Sequence[Any] | None,
        _option: str | None = None,
    ) -> None:
        """Keep the text under the key of the setting."""
        namespace.settings = {**namespace.settings, self.const: str(text)}


def load_config(path: Path | None, options: Mapping[Key, str] | None = None) -> Config:
    """Load the configuration of this process (command line over environment over file) and set up the log.

    A reload reads the [log] settings again.

    Args:
        path: the INI file; None for none.
        options: texts given on the command line.

    Raises:
        ConfigError: the configuration is wrong.
    """
    read = partial(load, path, os.environ, options)
    config = read()
    log_to_stderr(config.log.format, config.log.level)
    on_reload("[log] format and level", partial(_read_again, read, config))
    return config


def reread_log_settings(path: Path | None, options: Mapping[Key, str]) -> None:
    """Let a reload read the [log] settings again, in a process that was given its configuration by another one."""
    on_reload(
        "[log] format and level", partial(_apply_log_settings, partial(load, path, os.environ, options))
    )


def log_store(config: Config) -> None:
    """Log which store is used and which key chose it, so that an unintended store is noticed at the start."""
    log.info(
        "store_chosen mode=%s store=%s because=%r", config.store.mode, config.store, config.store_chosen_by
    )


def _read_again(read: Callable[[], Config], running: Config) -> Sequence[str]:
    """Apply the current [log] settings; return the other settings that differ from the running configuration."""
    config = read()
    log_to_stderr(config.log.format, config.log.level)
    return [str(key) for key in config.differing(running) if key.section != "log"]


def _apply_log_settings(read: Callable[[], Config]) -> Sequence[str]:
    config = read()
    log_to_stderr(config.log.format, config.log.level)
    return ()


def notices_without_workers(config: Config) -> Sequence[str]:
    """Return the notices of the configuration for a program that ignores [sharq-server] workers."""
    if config.server.workers == 1:
        return config.notices
    key = Key("sharq-server", "workers")
    return (*config.notices, f"{key}: has no effect: only sharq-server starts several processes itself")


def log_notices(notices: Iterable[str]) -> None:
    """Log a line for each setting that has no effect, or not the expected one."""
    for notice in notices:
        log.warning("config_notice %s", notice)
