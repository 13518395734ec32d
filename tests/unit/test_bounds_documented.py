"""The table of bounds in docs/security.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from router import inflation, jobs, polls, unread
from router.fields import MAX_BULK
from router.front import _DISCARDED_BODIES
from router.large_body import AT_ONCE_BYTES
from router.nesting import MAX_DEPTH
from router.settings import RouterSettings
from shard.dequeuer import MAX_ANSWER_BYTES

TEXT = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
SETTINGS = RouterSettings()
MIB = 1 << 20


@pytest.mark.parametrize(
    "line",
    [
        f"closed if it is longer than {_DISCARDED_BODIES} times that",
        f"`max_payload_bytes`; {MAX_BULK:,}; 100 characters; {MAX_DEPTH} |",
        f"| gzip files one behind the other in one body | {inflation.MAX_MEMBERS:,} |",
        f"| requests in flight | {SETTINGS.max_in_flight:,} |",
        f"but for the first {SETTINGS.free_body_bytes >> 10} KiB of each | {SETTINGS.max_in_flight_bytes // MIB} MiB |",
        f"| dead letters in one answer | {jobs.MAX_LIST_BYTES // MIB} MiB |",
        f"a dequeue | {MAX_ANSWER_BYTES // MIB} MiB; "
        f"of several shards {(MAX_ANSWER_BYTES + polls.ENOUGH_BYTES) // MIB} MiB",
        f"| answers longer than {unread.PIECE_BYTES >> 10} KiB that lie unread | "
        f"{unread.MAX_UNREAD_BYTES // MIB} MiB |",
        f"a body of more than {AT_ONCE_BYTES >> 10} KiB is read in a process of its own",
    ],
)
def test_the_table_of_bounds_has_the_numbers_of_the_code(line: str) -> None:
    assert line in TEXT
