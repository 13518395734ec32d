"""Runs a worker for the tasks of a backend: `manage.py sharq_worker`."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS

from sharq_client.contrib.django.worker import worker_of
from sharq_client.errors import SharqError


class Command(BaseCommand):
    """The command `sharq_worker`."""

    help = "Run tasks until Ctrl-C or SIGTERM, which let the tasks at hand end first; a second one ends them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options of the command."""
        parser.add_argument(
            "--backend",
            default=DEFAULT_TASK_BACKEND_ALIAS,
            metavar="ALIAS",
            help="Backend of the setting TASKS. Default: default.",
        )
        parser.add_argument(
            "--queue",
            action="append",
            default=[],
            dest="queues",
            metavar="NAME",
            help="Queue to work on; may be given several times. Default: all QUEUES of the backend.",
        )
        parser.add_argument(
            "--concurrency", type=int, default=10, metavar="NUMBER", help="Most tasks at once. Default: 10."
        )
        parser.add_argument(
            "--stop-timeout",
            type=float,
            default=30.0,
            metavar="SECONDS",
            help="Time for the tasks at hand to end at a stop. Default: 30.",
        )
        parser.add_argument(
            "--metrics-port", type=int, metavar="PORT", help="Serve Prometheus metrics of the worker there."
        )

    def handle(self, **options: Any) -> None:
        """Run the worker."""
        try:
            worker = worker_of(
                options["backend"],
                queues=options["queues"],
                concurrency=options["concurrency"],
                stop_timeout_s=options["stop_timeout"],
                metrics_port=options["metrics_port"],
            )
        except (ImproperlyConfigured, TypeError, ValueError, ModuleNotFoundError) as error:
            raise CommandError(str(error)) from error
        types = ", ".join(worker.queue_types)
        self.stdout.write(f"worker of {types}, up to {options['concurrency']} tasks at once; Ctrl-C stops it")
        self.stdout.flush()
        try:
            worker.run_forever()
        except (SharqError, OSError) as error:
            raise CommandError(str(error)) from error
