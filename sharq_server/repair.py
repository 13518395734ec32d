"""Carries out `sharq-server --repair`: checks the files of a stopped embedded store, and repairs them with `--yes`."""

from __future__ import annotations

import asyncio
import os

from sharq_core.config import StoreMode
from sharq_core.logs.standard_files import announce
from sharq_core.store.embedded.data_dir import lock_data_dir
from sharq_core.store.embedded.program import find_server
from sharq_core.store.embedded.repair import NotRepaired, describe, plan_repair, repair
from sharq_server.cli import ServerOptions

_DRY_RUN = "nothing was changed; to repair the files, add --yes to the command\n"


async def run_repair(command: ServerOptions) -> int:
    """Report the damage and the data that a repair would lose; with `--yes`, repair the files.

    Returns:
        0 if nothing is damaged any more; 1 if something is damaged and `--yes` was not given.

    Raises:
        DataDirError: a server runs on the directory, or the directory cannot be used.
        NotRepaired: the files cannot be repaired. Nothing was changed, unless the message says otherwise.
    """
    data_dir = command.data_dir.absolute()
    if command.config.store.mode is not StoreMode.EMBEDDED:
        raise NotRepaired(
            "--repair: a server is configured, so there is no embedded store; repair that server's files"
        )
    if not data_dir.is_dir():
        raise NotRepaired(f"there is no data directory {data_dir}: nothing to repair")
    lock = await lock_data_dir(data_dir)
    try:
        binary = find_server()
        plan = await asyncio.to_thread(plan_repair, data_dir, binary)
        announce(describe(plan))
        if not plan.is_needed:
            return 0
        if not command.is_sure:
            announce(_DRY_RUN)
            return 1
        done = await asyncio.to_thread(repair, data_dir, binary, plan)
    except OSError as error:
        raise NotRepaired(f"{error.filename or data_dir}: {error.strerror}; nothing more was done") from error
    finally:
        os.close(lock)
    announce("".join(f"{line}\n" for line in [*done, "done: start the server"]))
    return 0
