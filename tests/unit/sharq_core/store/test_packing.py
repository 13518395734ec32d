"""Tests that commands and calls are packed for the store as the driver packs them."""

from __future__ import annotations

import pytest
from hiredis import pack_command

from sharq_core.store.commands import Command, FcallCommand, KeyList, Word, pack

ONE = KeyList.of(b"{a}:ready:sms", b"{a}:jobs:sms")
OTHER = KeyList.of(b"{b}:ready:sms", b"{b}:jobs:sms")


def whole(command: Command) -> bytes:
    """As the driver packs it."""
    packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type] # its stub says one
    return packed


@pytest.mark.parametrize("command", [[b"TIME"], [b"WAIT", 1, 900], ["FCALL_RO", b"f", 0, "", b"\r\n\x00"]])
def test_a_command_is_packed_as_the_driver_packs_it(command: Command) -> None:
    assert pack([command, command]) == [whole(command)] * 2


@pytest.mark.parametrize("keys", [(ONE,), (ONE, OTHER), (ONE, OTHER) * 50])
@pytest.mark.parametrize("arguments", [[], ["", "sms", 1_700_000_000_000_000, b"\r\n\x00"], [b"x" * 300_000]])
def test_a_call_is_packed_as_the_driver_packs_its_words(
    keys: tuple[KeyList, ...], arguments: list[Word]
) -> None:
    call = FcallCommand(b"sharq_enqueue", keys, arguments, ())
    assert pack([call, call]) == [whole(call.words)] * 2
    assert call.words[:3] == [b"FCALL", b"sharq_enqueue", 2 * len(keys)]
