"""How commands are packed for the store: as the driver does it, also where the beginning is known already."""

from __future__ import annotations

import pytest
from hiredis import pack_command

from sharq_core.store.connections import Command, pack

CALL: list[bytes | str | int] = [
    b"FCALL",
    b"sharq_enqueue",
    2,
    b"{a}:ready:sms",
    b"{a}:jobs:sms",
    "",
    "sms",
    1_700_000_000_000_000,
    b"\r\n\x00",
]


def whole(command: Command) -> bytes:
    """As the driver packs it."""
    packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type] # its stub says one
    return packed


@pytest.mark.parametrize(
    "command",
    [
        [b"TIME"],
        [b"WAIT", 1, 900],
        CALL,
        [*CALL[:-1], b"x" * 300_000],
        [*CALL[:5], 1_700_000_000_000_000, "sms", *CALL[7:]],
        [*CALL[:4], b"{a}:queues:sms", *CALL[5:]],
        [b"FCALL", b"sharq_reap", *CALL[2:]],
        CALL[:7],
        [b"FCALL", b"sharq_revision", 0],
        [b"FCALL", b"sharq_revision", 0, "x"],
        [b"FCALL", b"sharq_claim", 1, b"{a}:partitions", "", "", 64],
        ["FCALL_RO", *CALL[1:]],
    ],
    ids=lambda command: f"{len(command)} words",
)
def test_a_command_is_packed_as_the_driver_packs_it(command: Command) -> None:
    assert pack([CALL, command, CALL, command]) == [whole(CALL), whole(command)] * 2
