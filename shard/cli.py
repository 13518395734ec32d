"""Parses the command line of `sharq-shard` and loads the configuration."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import msgspec

from sharq_core.config import Address, Config, Key, StoreMode
from sharq_core.config.settings import LINK_PORT
from sharq_core.errors import ConfigError
from sharq_core.process.command_line import (
    ACCEPT_HELP,
    CommonArguments,
    SettingOption,
    load_config,
    log_notices,
    make_parser,
    notices_without_workers,
)

_LISTEN = Address("127.0.0.1", LINK_PORT)
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})

_EXAMPLES = """\
examples:
  sharq-shard --config sharq.conf                      [redis] names the store that all nodes share
  sharq-shard --config sharq.conf --listen 10.0.0.5:8090
                                                       accept routers from other machines
  SHARQ_REDIS_URL=redis://10.0.0.9/0 sharq-shard --node-id shard-1
                                                       every setting is also a variable: SHARQ_<SECTION>_<KEY>
"""


_SETTINGS = (
    SettingOption(
        "--node-id",
        Key("cluster", "node_id"),
        "NAME",
        "unique name of this node (default: host name and port)",
    ),
    SettingOption(
        "--listen",
        Key("cluster", "listen"),
        "HOST:PORT",
        f"address for links, health and metrics (default: {_LISTEN})",
    ),
)


class ShardOptions(msgspec.Struct, frozen=True):
    """The options of one shard process.

    Attributes:
        node_id: this node's name; it stays the same after a restart.
        listen: the address that the process listens on.
        advertised: the address at which routers on other machines reach the node.
        accepts_data_loss: if True, the process accepts the data loss of the store and exits without serving.
    """

    config: Config
    node_id: str
    listen: Address
    advertised: Address
    accepts_data_loss: bool = False


def read_command(argv: Sequence[str] | None) -> ShardOptions:
    """Parse the arguments, load the configuration and log each of its notices once.

    Args:
        argv: the arguments; None for those of the process.

    Raises:
        ConfigError: the configuration is invalid.
        SystemExit: the arguments are invalid (2), or they ask for the help or the version (0).
    """
    arguments = _parse_arguments(argv)
    config = load_config(arguments.config, arguments.settings)
    _refuse_embedded(config)
    log_notices(notices_without_workers(config))
    host = socket.gethostname()
    listen = config.cluster.listen or _LISTEN
    own = Address(host, listen.port) if listen.host in _ANY_ADDRESS else listen
    node_id = config.cluster.node_id or f"{host}-{listen.port}"
    return ShardOptions(
        config, node_id, listen, config.cluster.advertise or own, accepts_data_loss=arguments.accept_data_loss
    )


class _ShardArguments(CommonArguments):
    accept_data_loss: bool


def _parse_arguments(argv: Sequence[str] | None) -> _ShardArguments:
    parser = make_parser(
        "sharq-shard",
        "A shard node of a SHARQ cluster. It schedules the queues of its partitions.",
        _EXAMPLES,
        "configuration file (INI)",
        _SETTINGS,
    )
    parser.add_argument("--accept-data-loss", action="store_true", help=ACCEPT_HELP)
    return parser.parse_args(argv, _ShardArguments())


def _refuse_embedded(config: Config) -> None:
    if config.store.mode is StoreMode.EMBEDDED:
        raise ConfigError(
            "[redis]: sharq-shard needs the store that all nodes share: name it in the configuration, "
            "or in SHARQ_REDIS_URL"
        )
