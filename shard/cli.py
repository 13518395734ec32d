"""The command line of `sharq-shard`: its arguments, and the configuration that they lead to.

Not here: what is done with it (shard/main.py), and the settings themselves (sharq_core/config).
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sharq_core.config import Address, Config, Key, StoreMode
from sharq_core.config.settings import LINK_PORT
from sharq_core.errors import ConfigError
from sharq_core.process.command_line import ACCEPT_HELP, load_config, log_notices, make_parser

_LISTEN = Address("127.0.0.1", LINK_PORT)
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})

_EXAMPLES = """\
examples:
  sharq-shard --config sharq.conf                      [redis] names the store that all nodes share
  sharq-shard --config sharq.conf --listen 10.0.0.5:8090
                                                       routers on other machines reach it there
  SHARQ_REDIS_URL=redis://10.0.0.9/0 sharq-shard --node-id shard-1
                                                       each setting is a variable too: SHARQ_<SECTION>_<KEY>
"""


class ShardOptions(msgspec.Struct, frozen=True):
    """What the shard was told.

    Attributes:
        node_id: this node's name; a restart has the same.
        listen: where it listens.
        advertised: where routers on other machines reach it.
        accepts_data_loss: it is to accept what the store has lost, and to serve nobody.
    """

    config: Config
    node_id: str
    listen: Address
    advertised: Address
    accepts_data_loss: bool = False


def read_command(argv: Sequence[str] | None) -> ShardOptions:
    """Parse the arguments and load the configuration; each of its notices is logged once.

    Args:
        argv: None for the arguments of the process.

    Raises:
        ConfigError: the configuration is wrong.
        SystemExit: the arguments are wrong (2), or only asked for the help or the version (0).
    """
    arguments = _parse_arguments(argv)
    options = {Key("cluster", "node_id"): arguments.node_id, Key("cluster", "listen"): arguments.listen}
    config = load_config(arguments.config, options)
    _refuse_embedded(config)
    log_notices(config.notices)
    host = socket.gethostname()
    listen = config.cluster.listen or _LISTEN
    own = Address(host, listen.port) if listen.host in _ANY_ADDRESS else listen
    node_id = config.cluster.node_id or f"{host}-{listen.port}"
    return ShardOptions(
        config, node_id, listen, config.cluster.advertise or own, accepts_data_loss=arguments.accept_data_loss
    )


class _ShardArguments(argparse.Namespace):
    config: Path | None
    node_id: str
    listen: str
    accept_data_loss: bool


def _parse_arguments(argv: Sequence[str] | None) -> _ShardArguments:
    parser = make_parser(
        "sharq-shard",
        "A shard node of a SHARQ cluster: it schedules the queues of its partitions.",
        _EXAMPLES,
        "the settings, an INI file",
    )
    parser.add_argument(
        "--node-id",
        default="",
        metavar="NAME",
        help="its name among the nodes (the host's name and the port)",
    )
    parser.add_argument(
        "--listen", default="", metavar="HOST:PORT", help=f"links, health and metrics ({_LISTEN})"
    )
    parser.add_argument("--accept-data-loss", action="store_true", help=ACCEPT_HELP)
    return parser.parse_args(argv, _ShardArguments())


def _refuse_embedded(config: Config) -> None:
    if config.store.mode is StoreMode.EMBEDDED:
        raise ConfigError(
            "[redis]: sharq-shard needs the store that all nodes share: name it in the configuration, "
            "or by SHARQ_REDIS_URL"
        )
