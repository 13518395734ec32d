"""Opens the client of a benchmark and runs its load."""

from __future__ import annotations

import asyncio
import sys

import typer

from sharq_client.aio.client import AsyncClient
from sharq_client.cli.bench.figures import Figures, Plan
from sharq_client.cli.bench.load import Load
from sharq_client.cli.session import Session


def run_load(session: Session, plan: Plan) -> Figures:
    """Run a load, and return what it measured. On a terminal it says what it does.

    Raises:
        SharqError: no call of a phase succeeded.
    """
    return asyncio.run(_run(session, plan))


async def _run(session: Session, plan: Plan) -> Figures:
    is_terminal = sys.stderr.isatty()

    def say(text: str) -> None:
        if is_terminal:
            typer.echo(f"{text} ...", err=True)

    async with AsyncClient(
        session.urls, token=session.token, timeout_s=session.timeout_s, retries=0, ca=session.ca
    ) as client:
        return await Load(client, plan, session.url, say).run()
