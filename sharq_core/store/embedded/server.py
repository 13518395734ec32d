"""Runs the embedded store: a Valkey server of our own as a child process, with its data in a directory.

The module starts it, ends it and reports its death.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sharq_core.process.launch import tied
from sharq_core.store.embedded.allocator import tuned_environ
from sharq_core.store.embedded.aof_files import BrokenFiles, refuse_silent_loss
from sharq_core.store.embedded.data_dir import directory_fault, lock_data_dir, lock_identity
from sharq_core.store.embedded.disk_reserve import give_up_reserve, keep_reserve
from sharq_core.store.embedded.file_sizes import CutFile, cut_files, note_sizes, read_sizes, sizes_now
from sharq_core.store.embedded.memory_limit import default_limit_bytes
from sharq_core.store.embedded.program import (
    SOCKET_NAME,
    EmbeddedStoreError,
    StoreStartCutShort,
    choose_socket_path,
    ended_at_start,
    find_server,
    log_tail,
    refused_by_system,
    way_on,
)
from sharq_core.store.embedded.repair import cut_zeros
from sharq_core.store.embedded.server_settings import SERVER_SETTINGS, as_options
from sharq_core.store.embedded.unwritten import Unwritten, read_unwritten

__all__ = ["EmbeddedStore", "EmbeddedStoreError", "StoreStartCutShort", "Unwritten", "url_of_running"]

log = logging.getLogger("sharq.store")

_LOG_NAME = "store.log"
_ANSWER_TIMEOUT_S = 60.0
"""The longest silence of a starting store, in seconds: on a machine with much else to do its start may take long."""
_LOADING_TIMEOUT_S = 900.0
"""The longest time for reading the file at the start, in seconds."""
_LOOK_AGAIN_S = 0.005
_INFO_TIMEOUT_S = 0.5
_STOP_TIMEOUT_S = 10.0
"""The longest wait in seconds for the store's end if the caller names none."""

_SETTINGS = {**SERVER_SETTINGS, "port": "0", "unixsocketperm": "700", "aof-timestamp-enabled": "yes"}
"""The settings of the embedded server; timestamps tell up to which time a damaged file can be read."""


class _StoreAnswer(enum.Enum):
    """The states of a starting store."""

    NONE = enum.auto()
    LOADING = enum.auto()
    READY = enum.auto()


class EmbeddedStore:
    """A running Valkey server that belongs to this process.

    Start it from a thread that lives as long as the store is needed: on Linux the store ends with it.

    Attributes:
        cut: files whose end was lost before the last start.
    """

    def __init__(self, data_dir: Path, lock: int, max_memory_bytes: int) -> None:
        """Prepare a store; use `start` instead."""
        self._data_dir = data_dir.absolute()
        self._lock = lock
        self._max_memory_bytes = max_memory_bytes
        self.cut: list[CutFile] = []
        self._socket_path = choose_socket_path(self._data_dir)
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._has_reserve = True
        self._is_ending = False
        self._was_ready = False

    @classmethod
    async def start(cls, data_dir: Path, max_memory_bytes: int | None = None) -> EmbeddedStore:
        """Start a store on a directory and wait until it answers; make the directory if it is missing.

        Args:
            max_memory_bytes: memory limit of its data; None for a share of this process's memory (memory_limit.py).

        Raises:
            DataDirError: the directory cannot be written or another process holds it. Nothing was changed.
            EmbeddedStoreError: the store did not come up; nothing runs.
        """
        lock = await lock_data_dir(data_dir)
        try:
            store = cls(data_dir, lock, max_memory_bytes or default_limit_bytes())
        except BaseException:
            os.close(lock)
            raise
        try:
            await store.restart()
        except BaseException:
            await store.stop()
            raise
        return store

    @property
    def url(self) -> str:
        """The URL of its socket, for the driver; the same after a restart."""
        return f"unix://{quote(str(self._socket_path))}"

    @property
    def pid(self) -> int:
        """The process id of the store."""
        return self._running().pid

    @property
    def data_dir(self) -> Path:
        """The data directory, absolute."""
        return self._data_dir

    @property
    def lock(self) -> tuple[int, int]:
        """The identity of the directory's lock; see data_dir.directory_fault."""
        return lock_identity(self._lock)

    @property
    def log_path(self) -> Path:
        """The path of the store's own log."""
        return self._data_dir / _LOG_NAME

    def directory_fault(self) -> str | None:
        """Return what happened to the directory under the running store, in words; None for nothing."""
        return directory_fault(self._data_dir, self.lock)

    async def restart(self) -> None:
        """Start the store again after it died, on the same directory and socket.

        Raises:
            StoreStartCutShort: it did not come up for an outside reason; another try may succeed.
            EmbeddedStoreError: it did not come up; nothing runs, and only the store itself may have changed files.
        """
        self._refuse_broken()
        noted, before = read_sizes(self._data_dir), sizes_now(self._data_dir)
        try:
            await self._bring_up()
        except StoreStartCutShort:
            raise
        except EmbeddedStoreError:
            if not await asyncio.to_thread(cut_zeros, self._data_dir, find_server()):
                raise
            await self._bring_up()
        self._was_ready = True
        self._say_cut(cut_files(noted, before, sizes_now(self._data_dir)))
        self.look_at_disk()
        log.info(
            "embedded_store_ready pid=%d data_dir=%s max_memory_bytes=%d",
            self.pid,
            self._data_dir,
            self._max_memory_bytes,
        )

    async def _bring_up(self) -> None:
        """Start the server and wait until it answers; if it does not, raise EmbeddedStoreError with nothing running."""
        try:
            self._socket_path.unlink(missing_ok=True)
            log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
            self._process = await self._spawn()
        except OSError as error:
            raise refused_by_system("the embedded store cannot be started", error) from error
        try:
            await self._wait_until_ready()
        except EmbeddedStoreError as error:
            await self._end(_STOP_TIMEOUT_S)
            tail = log_tail(self.log_path, log_start)
            raise type(error)(f"{error}{tail}\n{way_on(self._data_dir)}") from error

    async def unwritten(self) -> Unwritten | None:
        """Return the acknowledged work that is not in the file yet; None for none, or if the store does not say."""
        async with self._client(_INFO_TIMEOUT_S) as client:
            return await read_unwritten(client)

    def give_up_reserve(self) -> None:
        """Release the disk space that was reserved for the stop, for good."""
        self._is_ending = True
        give_up_reserve(self._data_dir)

    def look_at_disk(self) -> None:
        """Note the lengths of the files and keep the reserve, as far as the disk allows."""
        if self._is_ending or self.directory_fault() is not None:
            return
        has_reserve = keep_reserve(self._data_dir)
        if not has_reserve and self._has_reserve:
            log.warning(
                "disk_reserve_missing data_dir=%s: the disk has no room for it, so a stop may have to wait for room",
                self._data_dir,
            )
        self._has_reserve = has_reserve
        with contextlib.suppress(OSError):
            note_sizes(self._data_dir)

    def _refuse_broken(self) -> None:
        try:
            refuse_silent_loss(self._data_dir)
        except BrokenFiles as error:
            raise EmbeddedStoreError(
                f"the embedded store is not started: {error}\n{way_on(self._data_dir)}"
            ) from error
        except OSError as error:
            raise refused_by_system("the embedded store is not started", error) from error

    def _say_cut(self, cut: list[CutFile]) -> None:
        self.cut = cut
        for file in cut:
            log.critical(
                "embedded_store_data_cut file=%s lost_bytes=%d: %s", file.name, file.lost_bytes, file.in_words
            )

    async def wait_dead(self) -> int | None:
        """Wait until the store has ended; log its death if it was not asked to end.

        Returns:
            Its exit code, minus the signal's number if a signal ended it; None if `stop` was called.
        """
        process = self._running()
        exit_code = await process.wait()
        if self._is_stopping:
            return None
        log.critical("embedded_store_died pid=%d exit_code=%d log=%s", process.pid, exit_code, self.log_path)
        return exit_code

    async def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> bool:
        """End the store with its file flushed to the disk, and release the directory; further calls do nothing.

        Returns:
            True if it ended in order. A store that hangs is killed after timeout_s.
        """
        if self._is_stopping:
            return True
        self._is_stopping = True
        try:
            return await self._end(timeout_s)
        finally:
            if self._was_ready:
                with contextlib.suppress(OSError):
                    note_sizes(self._data_dir)
            os.close(self._lock)
            if self._socket_path.parent != self._data_dir:
                shutil.rmtree(self._socket_path.parent)

    async def _spawn(self) -> asyncio.subprocess.Process:
        """Start the server in a session of its own: Ctrl-C on the terminal is for us alone.

        It runs in the data directory, so that no path has to be quoted on its command line.
        """
        options = as_options({**_SETTINGS, "maxmemory": str(self._max_memory_bytes)})
        in_data_dir = self._socket_path.parent == self._data_dir
        socket = self._socket_path.name if in_data_dir else str(self._socket_path)
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *tied(find_server(), *options, "--unixsocket", socket),
                cwd=self._data_dir,
                env=tuned_environ(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                pass_fds=[self._lock],
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    async def _wait_until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        deadline_s = started_s + _ANSWER_TIMEOUT_S
        async with self._client(_ANSWER_TIMEOUT_S) as client:
            while (answer := await _ask(client)) is not _StoreAnswer.READY:
                exit_code = self._running().returncode
                if exit_code is not None:
                    raise ended_at_start(exit_code)
                if answer is _StoreAnswer.LOADING:
                    deadline_s = started_s + _LOADING_TIMEOUT_S
                if loop.time() > deadline_s:
                    raise StoreStartCutShort("the embedded store does not answer")
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _end(self, timeout_s: float) -> bool:
        """End the store by SIGTERM, which makes it flush its file; kill it if it hangs."""
        process = self._process
        if process is None or process.returncode is not None:
            return process is None
        with contextlib.suppress(ProcessLookupError):  # it died in this moment
            process.terminate()
        try:
            exit_code = await asyncio.wait_for(process.wait(), timeout_s)
        except TimeoutError:
            log.critical(
                "embedded_store_killed pid=%d reason=did_not_stop_in_%.1fs: acknowledged work is in its file, which "
                "the system writes to the disk, and the next start reads it",
                process.pid,
                timeout_s,
            )
            process.kill()
            await process.wait()
            return False
        if exit_code != 0:
            log.critical("embedded_store_failed_to_stop exit_code=%d log=%s", exit_code, self.log_path)
        return exit_code == 0

    def _client(self, timeout_s: float) -> Redis:
        return Redis(
            unix_socket_path=str(self._socket_path),
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
        )

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise EmbeddedStoreError("the embedded store was not started")
        return self._process


async def url_of_running(data_dir: Path) -> str | None:
    """Return the URL of the store that runs on a directory; None if none does, or if its socket is elsewhere."""
    path = _socket_in(data_dir)
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return None
    writer.close()
    await writer.wait_closed()
    return f"unix://{quote(str(path))}"


def _socket_in(data_dir: Path) -> Path:
    return data_dir.absolute() / SOCKET_NAME


async def _ask(client: Redis) -> _StoreAnswer:
    try:
        await client.ping()
    except redis.exceptions.BusyLoadingError:
        return _StoreAnswer.LOADING
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
        return _StoreAnswer.NONE
    return _StoreAnswer.READY
