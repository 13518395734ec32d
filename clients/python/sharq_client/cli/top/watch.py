"""Runs `sharq top` on a terminal: a thread asks the server, the main one draws and reads keys."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from rich.console import Console, Group
from rich.live import Live

from sharq_client.cli.exits import message_of
from sharq_client.cli.top.readings import MAX_QUEUES, Order, Reading, read
from sharq_client.cli.top.screen import View, draw
from sharq_client.cli.top.terminal import Keys, restored_after_sigterm
from sharq_client.errors import SharqError
from sharq_client.sync.client import Client

KEY_S = 0.1
"""The longest wait for a key. It is also how soon a new size of the terminal is noticed."""

_ORDERS: dict[str, Order] = {"d": "depth", "a": "age"}


class Watch:
    """The live view of a server.

    Args:
        refresh_s: the pause between two readings.
    """

    def __init__(self, client: Client, view: View, refresh_s: float) -> None:
        self._client = client
        self._view = view
        self._refresh_s = refresh_s
        self._wake = threading.Event()
        self._changed = threading.Event()
        self._fault: BaseException | None = None
        self._is_over = False

    def run(self) -> None:
        """Show the server until `q` or Ctrl-C. While the server is away, this says so and goes on.

        Raises:
            SharqError: the server refuses to answer, and asking again cannot help.
        """
        console = Console(highlight=False)
        keys = Keys()
        # A daemon: it may hang in a call when the user has had enough.
        threading.Thread(target=self._ask, daemon=True, name="top").start()
        with (
            suppress(KeyboardInterrupt),
            restored_after_sigterm(),
            Live(console=console, screen=True, auto_refresh=False) as live,
            keys.reading(),
        ):
            size, drawn_at_s = console.size, 0.0
            while self._fault is None:
                is_due = console.size != size or time.monotonic() - drawn_at_s >= 1
                if self._changed.is_set() or is_due:
                    self._changed.clear()
                    size, drawn_at_s = console.size, time.monotonic()
                    live.update(Group(*draw(self._view, size.width, size.height)), refresh=True)
                key = keys.next(KEY_S).lower()
                if key == "q":
                    break
                if key in _ORDERS:
                    self._view.order = _ORDERS[key]
                    self._wake.set()
        self._is_over = True
        if self._fault is not None:
            raise self._fault

    def _ask(self) -> None:
        try:
            while not self._is_over:
                self._read_once()
                self._changed.set()
                self._wake.wait(self._refresh_s)
                self._wake.clear()
        except BaseException as fault:  # noqa: BLE001 - the main thread raises it
            self._fault = fault

    def _read_once(self) -> None:
        view = self._view
        try:
            reading = read(self._client, view.queue_type, view.order, MAX_QUEUES)
        except SharqError as error:
            if error.retry_after_s is None:
                raise
            view.trouble = message_of(error, view.url).partition(". ")[0]
            return
        self._keep(reading)

    def _keep(self, reading: Reading) -> None:
        self._view.reading, self._view.trouble = reading, ""
