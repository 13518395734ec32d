"""Bodies of requests that are made to cost: deep, wide, broken at their very end, wrong a thousand times, compressed.

Everything is made from a seed, so that a body that holds the loop too long can be had again by its name.
"""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial

import msgspec

FULL_BYTES = (16 << 20) - 1024
PAYLOAD_BYTES = 256 * 1024
"""The longest payload that is allowed by default."""

PART_BYTES, MOST_PARTS = 1 << 16, 8
"""Parts of a large random value: 16 MiB of random choices take the tests longer than all their requests."""

CHUNKED_BYTES = 300_000
"""Longest body that is sent in chunks of a few bytes, which take up to five bytes more each."""

MOST_LEVELS = 480
"""So deep are random values nested at most, which is less than is refused."""

Make = Callable[[int, random.Random], bytes]
"""A function that makes a JSON value, or invalid JSON, of about the given number of bytes."""


class Hostile(msgspec.Struct, frozen=True):
    """One request.

    Attributes:
        name: says how it was made.
        path: gets it as a POST.
        chunk_bytes: comes in chunks of so many bytes; 0 for a body of stated length.
    """

    name: str
    path: str
    body: bytes
    headers: Mapping[str, str] = {}
    chunk_bytes: int = 0

    def wire(self) -> bytes:
        """Return the whole request as it is sent, in chunks."""
        lines = "".join(f"{name}: {text}\r\n" for name, text in self.headers.items())
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{lines}\r\n"
        starts = range(0, len(self.body), self.chunk_bytes)
        pieces = (self.body[start : start + self.chunk_bytes] for start in starts)
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return head.encode() + chunks + b"0\r\n\r\n"


def _filled(piece: bytes, size: int, around: bytes = b"[]", end: bytes = b"1") -> bytes:
    """Return a list of as many pieces as fit."""
    count = max(1, (size - len(end) - 2) // (len(piece) + 1))
    return around[:1] + b",".join([piece] * count) + b"," + end + around[1:]


def _deep(levels: int) -> bytes:
    return b"[" * levels + b"1" + b"]" * levels


def _keys(size: int, _: random.Random) -> bytes:
    return b"{" + b",".join(b'"%x":1' % number for number in range(size // 10)) + b"}"


def _mixed(size: int, chance: random.Random) -> bytes:
    """Random small values in random nesting, valid up to its end. What is larger than some parts repeats them."""
    parts = [
        _tangle(min(size, PART_BYTES), chance) for _ in range(min(MOST_PARTS, max(1, size // PART_BYTES)))
    ]
    return parts[0] if size <= PART_BYTES else _filled(b",".join(parts), size)


def _tangle(size: int, chance: random.Random) -> bytes:
    text, ends, is_first = bytearray(b"["), bytearray(b"]"), True
    atoms = (b"1", b'""', b'"["', b'"\\""', b"null", b"-0.5e3", '"ü漢"'.encode(), b"[]", b"{}")
    while len(text) + len(ends) < size:
        kind = chance.random()
        if kind < 0.15 and len(ends) > 1:
            text.append(ends.pop())
            is_first = False
            continue
        text += (b"" if is_first else b",") + (b'"k":' if ends.endswith(b"}") else b"")
        is_first = kind < 0.35 and len(ends) < MOST_LEVELS
        if is_first:
            opening, closing = chance.choice((b"[]", b"{}"))
            text.append(opening)
            ends.append(closing)
        else:
            text += chance.choice(atoms)
    return bytes(text + ends[::-1])


SHAPES: dict[str, Make] = {
    "deep": lambda size, _: _filled(_deep(490), size),
    "too-deep": lambda size, _: _filled(_deep(600), size),
    "open": lambda size, _: b"[" * size,
    "zigzag": lambda size, _: _filled(b"[[[]],[[]]]", size),
    "lists": lambda size, _: _filled(b"[]", size),
    "objects": lambda size, _: _filled(b'{"a":{}}', size),
    "numbers": lambda size, _: _filled(b"1", size),
    "fractions": lambda size, _: _filled(b"1.5e-7", size),
    "a-long-number": lambda size, _: b"9" * size,
    "numbers-past-all": lambda size, _: _filled(b"1", size, end=b"1e400"),
    "strings": lambda size, _: _filled(b'""', size),
    "brackets-in-strings": lambda size, _: _filled(b'"[{"', size),
    "escapes": lambda size, _: b'"' + b"\\n" * (size // 2) + b'"',
    "a-long-string": lambda size, _: b'"' + b"x" * size + b'"',
    "not-latin": lambda size, _: b'"' + "漢".encode() * (size // 3) + b'"',
    "latin-1-at-the-end": lambda size, _: _filled(b'""', size, end=b'"\xfc"'),
    "lone-surrogate-at-the-end": lambda size, _: _filled(b'"\\u00fc"', size, end=b'"\\ud800"'),
    "cut-off": lambda size, _: _filled(b'""', size)[:-1],
    "keys": _keys,
    "one-key": lambda size, _: _filled(b'"payload":1', size, b"{}", b'"payload":1'),
    "a-long-name": lambda size, _: b'{"' + b" - at `$" * (size // 8) + b'":1}',
    "spaces": lambda size, _: b" " * size,
    "mixed": _mixed,
}

_ADDRESS = b'"queue_type":"t","queue_id":"q"'


def _whole(value: bytes) -> tuple[str, bytes]:
    return "/enqueue/t/q/", value


def _payload(value: bytes) -> tuple[str, bytes]:
    return "/enqueue/t/q/", b'{"interval":0,"payload":' + value + b"}"


def _ignored(value: bytes) -> tuple[str, bytes]:
    return "/enqueue/t/q/", b'{"interval":0,"payload":1,"queue_type":' + value + b"}"


def _unknown(value: bytes) -> tuple[str, bytes]:
    return "/finish/t/q/j/", b'{"lease":"x","more":' + value + b"}"


def _rate(value: bytes) -> tuple[str, bytes]:
    return "/interval/t/q/", b'{"interval":' + value + b"}"


def _jobs(value: bytes) -> tuple[str, bytes]:
    return "/release/", b'{"jobs":' + value + b"}"


def _one_job(value: bytes) -> tuple[str, bytes]:
    return "/dead/t/redrive/", b'{"jobs":[' + value + b"]}"


PLACES = (_whole, _payload, _ignored, _unknown, _rate, _jobs, _one_job)


NUMBERS = "numbers past the thousand"


def _bulk_call(name: str, entries: Callable[[], list[bytes]]) -> Hostile:
    return Hostile(name, "/finish/" if name == NUMBERS else "/enqueue/", bulk(entries()))


def bulk(entries: list[bytes]) -> bytes:
    """Return the body of a bulk call."""
    return b'{"jobs":[' + b",".join(entries) + b"]}"


def _entry(payload: bytes) -> bytes:
    return b'{%s,"interval":0,"payload":%s}' % (_ADDRESS, payload)


def _entries_of(shape: str, size: int, seed: int) -> list[bytes]:
    payload = SHAPES[shape](min(PAYLOAD_BYTES, size) - 200, _chance(seed, f"bulk of {shape}"))[:PAYLOAD_BYTES]
    return [_entry(payload)] * min(1000, max(1, size // (len(payload) + 100)))


def _bulks(size: int, seed: int) -> dict[str, Callable[[], list[bytes]]]:
    """Return functions that make the entries of bulk calls, by the names of these.

    They are full of each shape, of a thousand bad entries of several kinds, and of more entries than there may be.
    """
    small = min(size // 1000, 16_000)
    bad = {
        "numbers": b"1",
        "unknown fields": b'{%s,"more":"%s"}' % (_ADDRESS, b"x" * small),
        "wrong kinds": b'{%s,"interval":"%s","payload":1}' % (_ADDRESS, b"x" * small),
        "wrong names": b'{"queue_type":"t","queue_id":"a/%s","payload":1}' % (b"x" * small),
        "numbers past all": _entry(_filled(b"1", small, end=b"1e400")),
        "latin-1": _entry(_filled(b'""', small, end=b'"\xfc"')),
        "nested too deep": _entry(_deep(max(501, small // 2))),
        "large payloads": _entry(b'"' + b"x" * small + b'"'),
    }
    return {
        **{f"bulk of {shape}": partial(_entries_of, shape, size, seed) for shape in SHAPES},
        **{
            f"1,000 jobs: {name}": partial(_repeated, entry, min(1000, size // len(entry)))
            for name, entry in bad.items()
        },
        "tiny jobs past the thousand": partial(_repeated, _entry(b"1"), max(1001, size // 70)),
        NUMBERS: partial(_repeated, b"1", max(1001, size // 2)),
    }


def _repeated(entry: bytes, count: int) -> list[bytes]:
    return [entry] * count


def corpus(seed: int, size: int, names: Container[str] | None = None) -> Iterator[Hostile]:
    """Yield hostile requests of about `size` bytes, some of them compressed.

    Args:
        names: of those that are wanted, which are the same as among all; None for all.
    """
    for name, make in SHAPES.items():
        places = [place for place in PLACES if names is None or f"{name}{place.__name__}" in names]
        value = make(size - 100, _chance(seed, name)) if places else b""
        for place in places:
            path, body = place(value)
            yield Hostile(f"{name}{place.__name__}", path, body)
    bulks = {name: partial(_bulk_call, name, entries) for name, entries in _bulks(size, seed).items()}
    yield from (make() for name, make in bulks.items() if names is None or name in names)
    for name in _chance(seed, "compressed").sample(list(bulks), 4):
        if names is None or f"{name}, gzip" in names:
            yield compressed(bulks[name]())
    if names is None or "a bomb, gzip" in names:
        gzipped = {"Content-Encoding": "gzip"}
        yield Hostile("a bomb, gzip", "/enqueue/t/q/", _gzip_of_spaces(64 * size), gzipped)
    if names is None or "gzip without its end" in names:
        cut = compressed(Hostile("mixed", *_payload(_mixed(size - 100, _chance(seed, "cut off")))))
        yield Hostile("gzip without its end", cut.path, cut.body[:-8], cut.headers)
    empty = "gzip of nothing, again and again"
    if names is None or empty in names:
        member = gzip.compress(b"")
        members = member * min(100_000, size // len(member))
        yield Hostile(empty, "/enqueue/", members, {"Content-Encoding": "gzip"})
    yield from (one for one in _in_crumbs(size) if names is None or one.name in names)


def _in_crumbs(size: int) -> Iterator[Hostile]:
    """Yield bodies in chunks of a few bytes, plain and compressed."""
    path, body = _payload(b'"' + b"x" * min(size - 100, CHUNKED_BYTES) + b'"')
    for chunk_bytes in (1, 3, 17):
        yield Hostile(f"in chunks of {chunk_bytes}", path, body, chunk_bytes=chunk_bytes)
    packed = gzip.compress(body, compresslevel=0)
    yield Hostile("in chunks of 1, gzip", path, packed, {"Content-Encoding": "gzip"}, 1)


def _chance(seed: int, name: str) -> random.Random:
    """Return the source of one body's choices, which no other body moves."""
    return random.Random(f"{seed} {name}")


def compressed(one: Hostile) -> Hostile:
    """Return the same with gzip."""
    body = gzip.compress(one.body, compresslevel=1)
    return Hostile(f"{one.name}, gzip", one.path, body, {"Content-Encoding": "gzip"})


def _gzip_of_spaces(count: int) -> bytes:
    """Return a gzip member of at least that many spaces, of which a part is compressed and then repeated.

    To compress a gigabyte takes seconds. After a full flush nothing refers to what was before, so that a part may
    follow itself.
    """
    part = b" " * min(count, 1 << 20)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(part) + deflate.flush(zlib.Z_FULL_FLUSH)
    repeats = -(-count // len(part))
    checksum = 0
    for _ in range(repeats):
        checksum = zlib.crc32(part, checksum)
    head = b"\x1f\x8b\x08" + bytes(7)
    end = deflate.flush()
    sizes = checksum.to_bytes(4, "little") + (repeats * len(part) % 2**32).to_bytes(4, "little")
    return head + packed * repeats + end + sizes
