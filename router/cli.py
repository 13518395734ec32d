"""Parses the command line of `sharq-router` and loads the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import msgspec

from sharq_core.config import Address, Config, Key
from sharq_core.config.kinds import host_and_port
from sharq_core.errors import ConfigError
from sharq_core.process.command_line import (
    CommonArguments,
    SettingOption,
    load_config,
    log_notices,
    make_parser,
    notices_without_workers,
)

_HTTP_PORT = 8080

_EXAMPLES = """\
examples:
  sharq-router --shards 10.0.0.5:8090,10.0.0.6:8090
  sharq-router --config sharq.conf --listen 0.0.0.0:8080 --shards shards.internal:8090
                                           one name may resolve to several shards
  SHARQ_CLUSTER_SHARDS=10.0.0.5:8090 sharq-router
                                           every setting is also a variable: SHARQ_<SECTION>_<KEY>
"""

_SETTINGS = (
    SettingOption(
        "--shards",
        Key("cluster", "shards"),
        "HOST:PORT,...",
        "seed shards; the router discovers the others",
    ),
)


class RouterOptions(msgspec.Struct, frozen=True):
    """The options of the router.

    Attributes:
        listen: the address at which it serves HTTP.
        sockets: descriptors of inherited sockets that listen there already; empty if it opens its own.
    """

    config: Config
    listen: Address
    sockets: tuple[int, ...] = ()


def read_command(argv: Sequence[str] | None) -> RouterOptions:
    """Parse the arguments and load the configuration; each of its notices is logged once.

    Args:
        argv: None for the arguments of the process.

    Raises:
        ConfigError: the configuration is wrong, or names no shard.
        SystemExit: the arguments are wrong (2), or ask for the help or the version (0).
    """
    arguments = _parse_arguments(argv)
    listen: Address | None = None
    if arguments.listen:
        try:
            listen = host_and_port(_HTTP_PORT).parse(arguments.listen)
        except ValueError as error:
            raise ConfigError("--listen: expected host:port") from error
    config = load_config(arguments.config, arguments.settings)
    if not config.cluster.shards:
        raise ConfigError("[cluster] shards: a router needs at least one (--shards host:port,...)")
    log_notices(notices_without_workers(config))
    listen = listen or Address(config.server.host, config.server.port)
    return RouterOptions(config, listen, tuple(arguments.listen_fd))


class _RouterArguments(CommonArguments):
    listen: str
    listen_fd: list[int]


def _parse_arguments(argv: Sequence[str] | None) -> _RouterArguments:
    parser = make_parser(
        "sharq-router",
        "The HTTP front end of a SHARQ cluster. Routers are stateless: run any number behind a load balancer.",
        _EXAMPLES,
        "configuration file (INI)",
        _SETTINGS,
    )
    parser.add_argument(
        "--listen", default="", metavar="HOST:PORT", help="HTTP address (default: 127.0.0.1:8080)"
    )
    parser.add_argument("--listen-fd", type=int, action="append", default=[], help=argparse.SUPPRESS)
    return parser.parse_args(argv, _RouterArguments())
