"""Parses the command line of `sharq-cluster`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from sharq_core.config import Config, RedisSettings
from sharq_core.errors import ConfigError
from sharq_core.process.command_line import CommonArguments, load_config, make_parser
from sharq_core.store.embedded.program import refuse_missing_package
from sharq_server.local_cluster.stores import CLUSTER, KINDS, SINGLE

_DATA_DIR = Path("sharq-cluster-data")
_PORT = 8080
_MAX_PROCESSES = 64

_NOT_OF_A_PLACE = frozenset({"key_prefix", "timeout_ms", "durability", "strict_store", "clustered"})
"""The [redis] keys that neither name a server nor hold credentials for one."""

_EXAMPLES = """\
examples:
  sharq-cluster                                two routers, on ports 8080 and 8081, and three shards
  sharq-cluster --routers 1 --shards 5 --store cluster
                                               with a Redis Cluster: three primaries, three replicas
  sharq-cluster --state-file cluster.json      write the processes, their ids and URLs, when all are ready
  sharq-cluster --prometheus targets.json      write the addresses that Prometheus scrapes
"""


class ClusterOptions(msgspec.Struct, frozen=True):
    """The options of the cluster. All paths are absolute.

    Attributes:
        router_ports: the consecutive ports of the routers.
        shards: the number of shards.
        store: one of stores.KINDS.
        data_dir: the directory of data and logs.
        state_file: the state file to write; None for none.
        targets_file: the file of targets for Prometheus to write; None for none.
        config: the configuration file; None for none. It has been read once without an error.
    """

    router_ports: range
    shards: int
    store: str
    data_dir: Path
    state_file: Path | None
    targets_file: Path | None
    config: Path | None


def read_command(argv: Sequence[str] | None) -> ClusterOptions:
    """Parse the arguments and check the configuration.

    Args:
        argv: None for the arguments of the process.

    Raises:
        ConfigError: the configuration is wrong, or names a store; or a path cannot be used; or the embedded store is
            not installed.
        SystemExit: the arguments are wrong (2), or ask for the help or the version (0).
    """
    arguments = _parse_arguments(argv)
    if arguments.prometheus is not None and arguments.prometheus.suffix != ".json":
        raise ConfigError(
            f"--prometheus: expected a file name that ends in .json, got {arguments.prometheus}"
        )
    config = load_config(arguments.config)
    redis = config.redis
    _refuse_named_store(redis)
    _refuse_tls(config)
    refuse_missing_package(
        "the cluster starts its own stores", "start sharq-shard and sharq-router with a server in [redis]"
    )
    if arguments.store == SINGLE and redis.durability != "fast":
        raise ConfigError(f"[redis] durability: {redis.durability} needs replicas; use --store {CLUSTER}")
    return ClusterOptions(
        range(arguments.port, arguments.port + arguments.routers),
        arguments.shards,
        arguments.store,
        arguments.data_dir.absolute(),
        _file_to_write("--state-file", arguments.state_file),
        _file_to_write("--prometheus", arguments.prometheus),
        arguments.config and arguments.config.absolute(),
    )


class _ClusterArguments(CommonArguments):
    routers: int
    shards: int
    port: int
    store: str
    data_dir: Path
    state_file: Path | None
    prometheus: Path | None


def _file_to_write(option: str, path: Path | None) -> Path | None:
    if path is None:
        return None
    path = path.absolute()
    if not path.parent.is_dir():
        raise ConfigError(f"{option}: there is no directory {path.parent}")
    return path


def _parse_arguments(argv: Sequence[str] | None) -> _ClusterArguments:
    parser = make_parser(
        "sharq-cluster",
        "A whole SHARQ cluster on this machine: routers, shards and their store.",
        _EXAMPLES,
        "configuration file of the routers and shards (INI)",
    )
    _add_processes(parser)
    _add_files(parser)
    arguments = parser.parse_args(argv, _ClusterArguments())
    if arguments.port + arguments.routers - 1 > 65535:
        parser.error(f"argument --port: {arguments.routers} routers from {arguments.port} on end past 65535")
    return arguments


def _add_processes(parser: argparse.ArgumentParser) -> None:
    """Add the options of the numbers of processes, their ports and their store."""
    count, port = _whole_number(1, _MAX_PROCESSES), _whole_number(1, 65535)
    parser.add_argument(
        "--routers", type=count, default=2, metavar="R", help="number of routers (default: 2)"
    )
    parser.add_argument("--shards", type=count, default=3, metavar="N", help="number of shards (default: 3)")
    parser.add_argument(
        "--port",
        type=port,
        default=_PORT,
        help=f"port of the first router; the others use the next ones (default: {_PORT})",
    )
    parser.add_argument(
        "--store",
        choices=KINDS,
        default=SINGLE,
        help="one Valkey, or a Redis Cluster of six (default: single)",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options of the directory of data, and of the files that list the processes."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=_DATA_DIR,
        metavar="DIR",
        help=f"directory of data and logs (default: ./{_DATA_DIR})",
    )
    parser.add_argument(
        "--state-file",
        type=Path,
        metavar="FILE",
        help="JSON file that lists the processes, written when all are ready",
    )
    parser.add_argument(
        "--prometheus",
        type=Path,
        metavar="FILE",
        help="JSON file of the routers and shards for Prometheus (file_sd_configs), written when all are ready",
    )


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text!r}")
        return int(text)

    return parse


def _refuse_tls(config: Config) -> None:
    if config.server.tls_cert or config.cluster.link_tls_cert:
        raise ConfigError(
            "[sharq-server] tls_..., [cluster] link_tls_...: sharq-cluster uses the loopback only, without TLS; "
            "remove these settings, or start sharq-shard and sharq-router"
        )


def _refuse_named_store(redis: RedisSettings) -> None:
    defaults = RedisSettings()
    named = [
        field
        for field in RedisSettings.__struct_fields__
        if field not in _NOT_OF_A_PLACE and getattr(redis, field) != getattr(defaults, field)
    ]
    if named:
        raise ConfigError(
            f"[redis] {', '.join(named)}: sharq-cluster starts its own stores; remove these settings, "
            "or start sharq-shard and sharq-router with that store"
        )
