"""Runs one worker of `sharq-server --workers N`: router and shard, with connections that the parent hands over.

  python -m sharq_server.workers.main CONTROL CHANNEL

The arguments are the descriptors of the control line, whose first message holds the orders, and of the channel of the
connections. This module is responsible for the start and stop order.
"""

from __future__ import annotations

import os
import socket
import sys
from functools import partial

from router.audit.audit_log import open_audit_file
from router.http.access_log import open_access_log
from sharq_core.errors import ConfigError
from sharq_core.logs.setup import log_to_stderr, lost_line, name_worker
from sharq_core.logs.standard_files import open_standard_files, write_aside
from sharq_core.process.command_line import reread_log_settings
from sharq_core.process.event_loop import EXIT_FAILED, EXIT_MISCONFIGURED, run
from sharq_core.process.sockets import ListenError
from sharq_core.process.stop import ignore_signals, serve_until_stopped
from sharq_core.version import __version__
from sharq_server.workers.orders import ControlLine, Failed, WorkerOrders, encode_line, receive_orders
from sharq_server.workers.service import WorkerService


def main() -> int:
    """Run the worker until SIGTERM, or until the parent has ended.

    Returns:
        the exit status; the parent has been told why if it is not 0.
    """
    control, channel = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:])
    ignore_signals()
    try:
        orders = receive_orders(control)
    except EOFError:
        return EXIT_FAILED
    os.umask(orders.umask)
    open_standard_files()
    write_aside(lost_line)
    name_worker(orders.number)
    log_to_stderr(orders.config.log.format, orders.config.log.level)
    try:
        return _run(orders, control, channel)
    except ConfigError as error:
        failure = Failed(EXIT_MISCONFIGURED, str(error))
    except ListenError as error:
        failure = Failed(EXIT_FAILED, str(error))
    control.setblocking(True)  # noqa: FBT003 - the signature of the standard library
    control.sendall(encode_line(failure))
    return failure.exit_status


def _run(orders: WorkerOrders, control: socket.socket, channel: socket.socket) -> int:
    if orders.version != __version__:
        raise ConfigError(
            f"version {__version__} was installed while version {orders.version} was running; start sharq-server again"
        )
    reread_log_settings(orders.config_file, orders.options)
    config = orders.config
    access_log, audit_file = open_access_log(config), open_audit_file(config)
    line = ControlLine(control.dup(), "worker")
    make = partial(WorkerService, orders, line, channel, access_log, audit_file)
    return run(serve_until_stopped(make, config.server.shutdown_timeout_ms / 1000))


if __name__ == "__main__":
    sys.exit(main())
