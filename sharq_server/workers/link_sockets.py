"""The sockets at which the other workers reach this one, in a directory that is private to the server.

Programs that clean `/tmp` may remove the directory under a running server. Open links go on without it, and the parent
makes it again before it starts another worker, which then finds no sockets of the older ones. So these listen again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from pathlib import Path

from aiohttp import web

from sharq_core.http_port.acceptor import PortSite
from sharq_server.workers.directory import link_path, notes_path
from sharq_server.workers.note_links import NoteServer

log = logging.getLogger("sharq.server")

_BACKLOG = 64


class LinkSockets:
    """The sockets of one worker: one for calls and one for notes.

    Args:
        runner: answers the connections for calls.
        notes: answers those for notes.
        links: the directory.
        number: the number of the worker.
    """

    def __init__(self, runner: web.ServerRunner, notes: NoteServer, links: Path, number: int) -> None:
        self._runner = runner
        self._notes = notes
        self._links = links
        self._calls_path = link_path(links, number)
        self._notes_path = notes_path(links, number)
        self._site: PortSite | None = None
        self._restoring = asyncio.Lock()

    async def listen(self) -> None:
        """Listen at both paths. Sockets of a worker that has ended are replaced."""
        await asyncio.to_thread(self._calls_path.unlink, missing_ok=True)
        bound = socket.socket(socket.AF_UNIX)
        bound.bind(str(self._calls_path))
        earlier, self._site = self._site, PortSite(self._runner, bound, None, _BACKLOG)
        await self._site.start()
        if earlier is not None:
            await earlier.stop()
        await self._notes.start(self._notes_path)

    async def restore(self) -> None:
        """Listen again if the sockets were removed. Links that are open stay so."""
        async with self._restoring:
            are_there = self._calls_path.exists() and self._notes_path.exists()
            if are_there or not is_private(self._links):
                return
            try:
                await self.listen()
            except OSError as error:
                log.warning("worker_sockets_not_restored error=%r", str(error))
            else:
                log.warning("worker_sockets_restored directory=%s", self._links)


def is_private(directory: Path) -> bool:
    """Return True if a directory exists and nobody else can put sockets into it."""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    is_closed = not stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and is_closed
