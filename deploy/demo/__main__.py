"""`python -m deploy.demo`: exit code 0 if every promise held, 1 when not, 130 when interrupted."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from deploy.demo.board import a_console
from deploy.demo.customers import KILLS_AT_S
from deploy.demo.run import run_demo
from sharq_client import errors
from sharq_core.process.sockets import ListenError
from sharq_server.local_cluster.child import StartError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo",
        description="Show promised and delivered rates side by side (about 25 seconds).",
    )
    parser.add_argument(
        "--url", help="URLs of running servers, http://host:port[,...]; default: start a server"
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="start two routers and three shards instead of one server, and kill some of them during the run",
    )
    parser.add_argument(
        "--kill", choices=(*KILLS_AT_S, "both"), help="the process of the cluster to kill (default: both)"
    )
    parser.add_argument(
        "--token",
        help="token for servers that require one; prefer the environment variable SHARQ_TOKEN, which hides it",
    )
    options = parser.parse_args(argv)
    if options.cluster and options.url:
        parser.error("--cluster starts its own servers and cannot be combined with --url")
    if options.kill and not options.cluster:
        parser.error("--kill requires --cluster")
    if options.token:
        os.environ["SHARQ_TOKEN"] = options.token
    console = a_console()
    urls = options.url.split(",") if options.url else []
    killed_roles = _killed_roles(options.kill or "both") if options.cluster else []
    try:
        return 0 if asyncio.run(_run(console, urls, killed_roles)) else 1
    except (StartError, ListenError, errors.SharqError, TimeoutError) as error:
        console.print(f"[red b]FAILED[/red b]: {type(error).__name__}: {error}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("interrupted; every process of the demo has ended")
        return 130


def _killed_roles(kill: str) -> list[str]:
    return list(KILLS_AT_S) if kill == "both" else [kill]


async def _run(console: Console, urls: Sequence[str], killed_roles: Sequence[str]) -> bool:
    """Run the demo; SIGTERM cancels it in good order, as Ctrl-C does."""
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await run_demo(console, urls, killed_roles)


if __name__ == "__main__":
    sys.exit(main())
