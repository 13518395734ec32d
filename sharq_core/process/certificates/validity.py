"""Reads from when until when certificates are valid.

The standard library decodes a certificate only at the end of a successful handshake, so a few bytes of DER are read
here: RFC 5280, section 4.1.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

_BLOCK = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END (?:TRUSTED |X509 )?CERTIFICATE-----",
    re.DOTALL,
)
_MAX_FILE_BYTES = 16 << 20

_SEQUENCE, _VERSION = 0x30, 0xA0
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


class Validity(Struct, frozen=True):
    """The time for which a certificate is valid, both ends included, in seconds since the epoch."""

    begins_s: float
    ends_s: float


def read_validities(path: Path) -> list[Validity]:
    """Return the validity of each certificate of a PEM file, at least one, in the order of the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no certificate, or one that cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES)
    validities = [_validity(base64.b64decode(block)) for block in _BLOCK.findall(content)]
    if not validities:
        raise ValueError("it holds no certificate")
    return validities


def _validity(certificate: bytes) -> Validity:
    """Return the validity of one certificate in DER form.

    Raises:
        ValueError: this is no certificate.
    """
    try:
        _, signed_part = next(_elements(certificate))
        _, fields = next(_elements(signed_part))
        elements = list(_elements(fields))
        if elements[0][0] == _VERSION:
            del elements[0]
        # serial number, signature, issuer, validity, ...
        tag, period = elements[3]
        begins, ends = _elements(period)
        if tag != _SEQUENCE:
            raise ValueError("a certificate in it cannot be read")
        return Validity(_seconds(*begins), _seconds(*ends))
    except (IndexError, StopIteration) as error:
        raise ValueError("a certificate in it cannot be read") from error


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each element of a DER sequence's content. Raise IndexError at a cut one."""
    at = 0
    while at < len(content):
        tag, length = content[at], content[at + 1]
        at += 2
        if length > 0x7F:
            octets = length & 0x7F
            length = int.from_bytes(content[at : at + octets])
            at += octets
        if at + length > len(content):
            raise IndexError
        yield tag, content[at : at + length]
        at += length


def _seconds(tag: int, content: bytes) -> float:
    """Return the seconds since the epoch of a time: YYMMDDhhmmssZ, of the years 1950 to 2049, or YYYYMMDDhhmmssZ."""
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = f"{'19' if text >= '50' else '20'}{text}"
    elif tag != _GENERALIZED_TIME:
        raise ValueError("a certificate in it cannot be read")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
