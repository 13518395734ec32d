"""The parts that the four command lines share: `--config`, `--version`, examples and notices.

Not here: the arguments of a single command (the command modules of router, shard and cluster).
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from sharq_core.config import Config, Key, load
from sharq_core.logs.setup import log_to_stderr
from sharq_core.process.reloading import on_reload
from sharq_core.version import __version__

log = logging.getLogger("sharq.process")

ACCEPT_HELP = (
    "do not serve; accept that the store has lost data, so that its nodes continue with what it holds now"
)
"""The help text of the option `--accept-data-loss`, which two of the commands have."""


def make_parser(program: str, description: str, examples: str, config_help: str) -> argparse.ArgumentParser:
    """Return a parser that knows `--config` and `--version`."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help=config_help)
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    return parser


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


def log_notices(notices: Iterable[str]) -> None:
    """Log a line for each setting that has no effect, or not the expected one."""
    for notice in notices:
        log.warning("config_notice %s", notice)
