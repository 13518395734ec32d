"""Parses the command line of `sharq-server` and loads the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from router.http.tokens import PrintNewToken
from sharq_core.config import Config, Key, StoreMode
from sharq_core.errors import ConfigError
from sharq_core.process.command_line import (
    ACCEPT_HELP,
    CommonArguments,
    SettingOption,
    load_config,
    log_notices,
    make_parser,
)
from sharq_core.store.embedded.program import refuse_missing_package

_DATA_DIR = Path("sharq-data")

_REPAIR_HELP = (
    "do not serve; check the files of an embedded store that does not start, and report what can be repaired and which "
    "data that would lose"
)

_MAKE_TOKEN_HELP = (
    "at the first start make a token, print it, and keep its hash in the file tokens of the data directory; no effect "
    "with [auth] tokens_file or allow_anonymous"
)

_EXAMPLES = """\
examples:
  sharq-server                             with an embedded store, data in ./sharq-data
  sharq-server --data-dir /var/lib/sharq   the same, with another data directory
  sharq-server --workers auto              the same, with a process for each processor
  sharq-server --config sharq.conf         with the Redis or Valkey of the file's [redis] section
  SHARQ_REDIS_URL=redis://10.0.0.5/0 sharq-server
                                           every setting is also a variable: SHARQ_<SECTION>_<KEY>
"""


_SETTINGS = (
    SettingOption("--host", Key("sharq-server", "host"), "HOST", "address to listen on (default: 127.0.0.1)"),
    SettingOption(
        "--port",
        Key("sharq-server", "port"),
        "PORT",
        "port to listen on (default: 8080); 0 for any free port",
    ),
    SettingOption(
        "--workers",
        Key("sharq-server", "workers"),
        "N",
        "processes that serve the port together, each with one processor (default: 1); auto for one per processor; one "
        "that ends or hangs is started again",
    ),
)


class ServerOptions(msgspec.Struct, frozen=True):
    """The options of the server.

    Attributes:
        data_dir: the data directory of the embedded store; with another store it holds at most the file of tokens.
        accepts_data_loss: True to accept the store's loss of data and exit.
        repairs: True to check the files of the embedded store and exit.
        is_sure: True to repair them, too.
        config_file: the configuration file; None for none.
        settings: the text of each setting given by an option.
        makes_token: True to make a token at the first start, unless the configuration says who may call.
    """

    config: Config
    data_dir: Path
    accepts_data_loss: bool = False
    repairs: bool = False
    is_sure: bool = False
    makes_token: bool = False
    config_file: Path | None = None
    settings: Mapping[Key, str] = {}


def read_command(argv: Sequence[str] | None) -> ServerOptions:
    """Parse the arguments and load the configuration; each of its notices is logged once.

    Args:
        argv: None for the arguments of the process.

    Raises:
        ConfigError: the configuration is wrong, or needs the embedded store, which is not installed.
        SystemExit: the arguments are wrong (2), or ask for the help or the version (0).
    """
    arguments = _parse_arguments(argv)
    config = load_config(arguments.config, arguments.settings)
    _refuse_lonely(config)
    _refuse_missing_store(arguments, config)
    log_notices((*config.notices, *_notices(arguments, config)))
    return ServerOptions(
        config,
        arguments.data_dir or _DATA_DIR,
        accepts_data_loss=arguments.accept_data_loss,
        repairs=arguments.repair,
        is_sure=arguments.yes,
        makes_token=arguments.make_token,
        config_file=arguments.config and arguments.config.absolute(),
        settings=arguments.settings,
    )


class _ServerArguments(CommonArguments):
    data_dir: Path | None
    gunicorn_config: str | None
    accept_data_loss: bool
    repair: bool
    yes: bool
    make_token: bool


def _parse_arguments(argv: Sequence[str] | None) -> _ServerArguments:
    parser = make_parser(
        "sharq-server",
        "A rate-limited queueing system over HTTP: router and shard in one process, or in several with --workers.",
        _EXAMPLES,
        "configuration file (INI)",
        _SETTINGS,
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="data directory of the embedded store (default: ./sharq-data)",
    )
    parser.add_argument(
        "-gc", "--gunicorn-config", metavar="FILE", help="ignored; accepted for scripts of the original"
    )
    parser.add_argument(
        "--new-token",
        action=PrintNewToken,
        metavar="NAME",
        help="print a new token and its line for tokens_file, then exit",
    )
    parser.add_argument("--make-token", action="store_true", help=_MAKE_TOKEN_HELP)
    parser.add_argument("--accept-data-loss", action="store_true", help=ACCEPT_HELP)
    parser.add_argument("--repair", action="store_true", help=_REPAIR_HELP)
    parser.add_argument(
        "--yes", action="store_true", help="with --repair: repair the files and lose the reported data"
    )
    arguments = parser.parse_args(argv, _ServerArguments())
    if arguments.yes and not arguments.repair:
        parser.error("argument --yes: only valid with --repair")
    return arguments


def _notices(arguments: _ServerArguments, config: Config) -> list[str]:
    notices = []
    if arguments.gunicorn_config is not None:
        notices.append("--gunicorn-config: has no effect: this server does not use gunicorn")
    is_used = config.store.mode is StoreMode.EMBEDDED or arguments.make_token
    if arguments.data_dir is not None and not is_used:
        notices.append("--data-dir: has no effect: a server is configured, so no embedded store is started")
    cluster = config.cluster
    if cluster.shards or cluster.listen or cluster.secret or cluster.link_tls_cert:
        notices.append(
            "[cluster] shards, listen, secret, link_tls_...: have no effect: each process is router and shard"
        )
    return notices


def _refuse_lonely(config: Config) -> None:
    """Raise if the durability needs replicas and the store is embedded, which has none."""
    if config.store.mode is StoreMode.EMBEDDED and config.redis.durability != "fast":
        raise ConfigError(
            f"[redis] durability: {config.redis.durability} needs a store with replicas; the embedded one has none"
        )


def _refuse_missing_store(arguments: _ServerArguments, config: Config) -> None:
    """Raise if the embedded store is configured and not installed."""
    if config.store.mode is not StoreMode.EMBEDDED:
        return
    if arguments.repair:
        refuse_missing_package(
            "--repair runs the program of the embedded store",
            "name your own server in [redis] and repair its files with its tools",
        )
    refuse_missing_package(
        "[redis] names no server", "name a Redis or Valkey server (SHARQ_REDIS_URL=redis://HOST:6379/0)"
    )
