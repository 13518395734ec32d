"""Reads the records of a file of jobs: JSON Lines, or CSV with a header. Memory is bounded by the longest record."""

from __future__ import annotations

import csv
import enum
import errno
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

MAX_LINE_BYTES = 32 * 1024 * 1024
"""The longest line: twice the largest payload that a server can be configured to take."""

_MAX_CELL_CHARACTERS = 16 * 1024 * 1024
_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
_DELIMITERS = ",;\t"


class Format(enum.StrEnum):
    """The format of a file of jobs."""

    JSONL = "jsonl"
    CSV = "csv"


class BadLine(Exception):
    """A record that is no job. The message says why."""


class Record(msgspec.Struct, frozen=True):
    """One record of a file.

    Attributes:
        line: the number of its first line, 1 for the first of the file.
        text: the record as it stands in the file, with its line ends.
        cells: the cells of a CSV record; empty for JSON.
        problem: the reason why the record cannot be read; empty if it can.
    """

    line: int
    text: bytes
    cells: Sequence[str] = ()
    problem: str = ""


class JobFile:
    """A file of jobs, or stdin.

    Args:
        name: the path, or "-" for stdin. A name that ends in .gz is decompressed.
        kind: the format; None to tell it by the name, or by the first byte of stdin.

    Raises:
        OSError: the file cannot be opened.
        ValueError: a CSV has no header.

    Attributes:
        header: the names of the columns; empty for JSON Lines.
        size_bytes: the size of the file as it is stored; None if it is not known.
    """

    def __init__(self, name: str, kind: Format | None = None) -> None:
        self._is_stdin = name == "-"
        self.name = "stdin" if self._is_stdin else name
        self._stored: BinaryIO = sys.stdin.buffer if self._is_stdin else Path(name).open("rb")  # noqa: SIM115
        self.size_bytes = _size_bytes(self._stored)
        is_packed = name.endswith(".gz")
        self._lines = _Lines(gzip.GzipFile(fileobj=self._stored) if is_packed else self._stored, self.name)
        self.kind = kind or _kind_of(name.removesuffix(".gz"), self._lines)
        self.header: Sequence[str] = ()
        self._reader: Iterator[list[str]] = iter(())
        self.header_text = b""
        if self.kind is Format.CSV:
            try:
                self._read_header()
            except ValueError:
                self.close()
                raise

    def close(self) -> None:
        """Close the file. Stdin stays open."""
        if not self._is_stdin:
            self._stored.close()

    @property
    def read_bytes(self) -> int:
        """The number of bytes read so far of the file as it is stored, at most its size."""
        return self._stored.tell() if self.size_bytes is not None else 0

    def records(self) -> Iterator[Record]:
        """Yield the records in order, without empty lines."""
        return self._csv_records() if self.kind is Format.CSV else self._json_records()

    def _json_records(self) -> Iterator[Record]:
        for _ in self._lines:
            line, text = self._lines.number, self._lines.take()
            if self._lines.is_cut:
                yield Record(line, b"", problem=f"longer than {MAX_LINE_BYTES} bytes")
            elif text.strip():
                yield Record(line, text)

    def _read_header(self) -> None:
        first = next(self._lines, b"").decode("utf-8-sig", "replace")
        delimiter = max(_DELIMITERS, key=first.count)
        self.header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        if len(set(self.header)) < len(self.header) or not all(self.header):
            raise ValueError(f"{self.name}: line 1: expected a header with a name for each column, each once")
        self.header_text = self._lines.take()
        csv.field_size_limit(_MAX_CELL_CHARACTERS)
        texts = (line.decode("utf-8", "surrogateescape") for line in self._lines)
        self._reader = csv.reader(texts, delimiter=delimiter)

    def _csv_records(self) -> Iterator[Record]:
        while True:
            line = self._lines.number + 1
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                yield Record(line, self._lines.take(), problem=f"{error}; is a quote not closed?")
                continue
            text = self._lines.take()
            if cells is None:
                return
            if cells:
                yield Record(line, text, cells, self._problem(cells))

    def _problem(self, cells: Sequence[str]) -> str:
        if len(cells) != len(self.header):
            return f"expected {len(self.header)} cells as in the header, got {len(cells)}"
        is_text = all(
            cell.isascii() or not any("\udc80" <= sign <= "\udcff" for sign in cell) for cell in cells
        )
        return "" if is_text else "is not UTF-8"


class _Lines:
    """The lines of a file, as bytes.

    Args:
        name: the name of the file, for messages.

    Attributes:
        number: the number of lines read so far.
        is_cut: True if the last one was longer than MAX_LINE_BYTES, and is left out.
    """

    def __init__(self, file: BinaryIO | gzip.GzipFile, name: str) -> None:
        self._file = io.BufferedReader(file, 1 << 18) if isinstance(file, gzip.GzipFile) else file
        self._name = name
        self._taken: list[bytes] = []
        self._next = b""
        self.number = 0
        self.is_cut = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line, self._next = self._next or self._read(), b""
        if not line:
            raise StopIteration
        self.number += 1
        self.is_cut = len(line) == MAX_LINE_BYTES and not line.endswith(b"\n")
        if self.is_cut:
            self._skip_rest()
        self._taken.append(line)
        return line

    def _skip_rest(self) -> None:
        while (rest := self._read()) and not rest.endswith(b"\n"):
            pass

    def _read(self) -> bytes:
        """Return up to MAX_LINE_BYTES of the rest of a line; empty at the end.

        Raises:
            OSError: the file cannot be read, or its compressed data is damaged or ends early.
        """
        try:
            return self._file.readline(MAX_LINE_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            problem = "ends early" if isinstance(error, EOFError) else f"is damaged ({error})"
            raise OSError(errno.EBADMSG, f"its compressed data {problem}", self._name) from error

    def peek(self) -> bytes:
        """Return the next line without taking it; empty at the end."""
        self._next = self._next or self._read()
        return self._next

    def take(self) -> bytes:
        """Return the lines read since the last call."""
        text = b"".join(self._taken)
        self._taken.clear()
        return text


def _size_bytes(file: BinaryIO) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size if file.seekable() else None
    except OSError:
        return None


def _kind_of(name: str, lines: _Lines) -> Format:
    suffix = Path(name).suffix.lower()
    if suffix in _JSON_SUFFIXES:
        return Format.JSONL
    if suffix in {".csv", ".tsv"}:
        return Format.CSV
    return Format.JSONL if lines.peek().lstrip(b"\xef\xbb\xbf \t").startswith(b"{") else Format.CSV
