"""Reads and writes trace contexts: the text of W3C Trace Context on the wire, and a short packed form inside.

The packed form goes with a job through the link into the store, which does not read it (lua/notes.lua). It is
trace id 16 bytes, span id 8, flags 1, then the tracestate as text. No context is b"".
"""

from __future__ import annotations

import re

MAX_TRACESTATE_BYTES = 512
"""The longest tracestate that is kept, which is the length that the W3C asks every system to pass on."""

TRACEPARENT_PATTERN = (
    r"^(?!ff|00.{53}.)(?!.{3}0{32})(?!.{36}0{16})"
    r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,200})?$(?!\n)"
)
"""A traceparent by the W3C's rules: version 00 has exactly four parts, later versions may have more; the version ff and
ids of zeros are invalid.
"""

TRACESTATE_PATTERN = r"^[ -~]*$(?!\n)"
"""A tracestate as far as it is checked: printable ASCII. The tracing systems alone understand its entries."""

_KNOWN_FLAGS = 0x03
"""The flags that have a meaning: sampled, and a random trace id. The others are sent as 0."""

PARENT_BYTES = 25
"""The length of a packed context without a tracestate."""

_find_traceparent = re.compile(TRACEPARENT_PATTERN).match
_find_tracestate = re.compile(TRACESTATE_PATTERN).match


def pack(traceparent: str, tracestate: str = "") -> bytes:
    """Return the packed form of a valid context. A context of a later version is kept as one of version 00."""
    _, trace_id, span_id, flags = traceparent.split("-")[:4]
    packed_flags = int(flags, 16) & _KNOWN_FLAGS
    return bytes.fromhex(trace_id + span_id) + bytes((packed_flags,)) + tracestate.encode()


def from_headers(traceparent: str | None, tracestate: str | None) -> bytes:
    """Return the packed form of the headers of a request.

    As the W3C asks, a malformed traceparent counts as absent, and a tracestate without a traceparent is ignored. A
    tracestate that is malformed or too long is left out.
    """
    if traceparent is None or _find_traceparent(traceparent.strip()) is None:
        return b""
    tracestate = (tracestate or "").strip()
    if len(tracestate) > MAX_TRACESTATE_BYTES or _find_tracestate(tracestate) is None:
        tracestate = ""
    return pack(traceparent.strip(), tracestate)


def traceparent(packed: bytes) -> str:
    """Return the traceparent of a packed context that is not empty."""
    return f"00-{packed[:16].hex()}-{packed[16:24].hex()}-{packed[24]:02x}"


def tracestate(packed: bytes) -> str:
    """Return the tracestate of a packed context; empty for none."""
    return packed[PARENT_BYTES:].decode(errors="replace")
