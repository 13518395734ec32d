"""Defines the parameters that several commands have, with their help."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

QueueType: TypeAlias = Annotated[str, typer.Argument(metavar="TYPE", help="The queue type.")]
QueueId: TypeAlias = Annotated[str, typer.Argument(metavar="QUEUE", help="The id of the queue.")]
JobId: TypeAlias = Annotated[str, typer.Argument(metavar="JOB", help="The id of the job.")]
