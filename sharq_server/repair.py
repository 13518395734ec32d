"""`sharq-server --repair`: looks at the files of an embedded store that no server runs on, and mends them with `--yes`.

Not here: what can be mended (sharq_core/store/embedded/repair.py), and the lock
(sharq_core/store/embedded/data_dir.py).
"""

from __future__ import annotations

import asyncio
import os

from sharq_core.config import StoreMode
from sharq_core.logs.standard_files import announce
from sharq_core.store.embedded.data_dir import lock_data_dir
from sharq_core.store.embedded.program import find_server
from sharq_core.store.embedded.repair import NotRepaired, describe, plan_repair, repair
from sharq_server.cli import ServerOptions

_DRY_RUN = "nothing was changed; to do it: the same command with --yes\n"


async def run_repair(command: ServerOptions) -> int:
    """Say what is wrong and what mending it would lose; with `--yes` mend it.

    Returns:
        0 when nothing is wrong, or no longer; 1 when something is and `--yes` was not said.

    Raises:
        DataDirError: a server runs on the directory, or it cannot be used.
        NotRepaired: it cannot be mended. Nothing was changed, if the message does not say otherwise.
    """
    data_dir = command.data_dir.absolute()
    if command.config.store.mode is not StoreMode.EMBEDDED:
        raise NotRepaired(
            "--repair: a server is configured, so there is no embedded store; mend that server's files"
        )
    if not data_dir.is_dir():
        raise NotRepaired(f"there is no data directory {data_dir}: nothing to mend")
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
