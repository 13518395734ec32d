"""Generates the modules of `sharq_client.sync` from those of `sharq_client.aio`. `make sync-client` runs it.

The two clients have the same methods because one is written from the other: `await` goes, and names change as in
`_NAMES`. Written by hand in `sync/` are the modules of `HAND_WRITTEN`: they use another HTTP library, and threads.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "sharq_client"
HAND_WRITTEN = frozenset(["__init__.py", "connections.py", "streaming.py"])

_HEADER = "# Generated from aio/{name} by generate_sync.py. Change that file instead.\n"

_NAMES = [
    (r"\bsharq_client\.aio\b", "sharq_client.sync"),
    (r"\bAiohttpConnections\b", "Urllib3Connections"),
    (
        r"\bAsync(Client|Control|Jobs|Schedules|Caller|Transport|Connections|Iterator|JobStream|Queues)\b",
        r"\1",
    ),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"from collections\.abc import Awaitable, ", "from collections.abc import "),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\nimport asyncio\n(?=(?:import \w+\n)*import time\n)", "\n"),
    (r"\bimport asyncio\b", "import time"),
]


def synchronous(name: str) -> str:
    """Return the text of a module of `sync/`, as ruff formats it."""
    text = (PACKAGE / "aio" / name).read_text()
    for pattern, replacement in _NAMES:
        text = re.sub(pattern, replacement, text)
    for command in (["check", "--fix", "--unsafe-fixes", "--quiet", "--exit-zero"], ["format", "--quiet"]):
        target = str(PACKAGE / "sync" / name)
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", target, "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return _HEADER.format(name=name) + text


def names() -> list[str]:
    """Return the names of the generated modules."""
    return sorted(path.name for path in (PACKAGE / "aio").glob("*.py") if path.name not in HAND_WRITTEN)


def main() -> None:
    """Write every generated module."""
    for name in names():
        (PACKAGE / "sync" / name).write_text(synchronous(name))


if __name__ == "__main__":
    main()
