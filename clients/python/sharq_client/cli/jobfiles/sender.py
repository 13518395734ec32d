"""Enqueues the jobs of a file: in the order of each queue, in bounded memory, with several calls in flight."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import msgspec

from sharq_client import errors
from sharq_client.cli.jobfiles.interrupts import held_back
from sharq_client.cli.jobfiles.jobs import job_of
from sharq_client.cli.jobfiles.lines import BadLine, JobFile, Record
from sharq_client.cli.jobfiles.progress_file import ProgressFile, Reached
from sharq_client.cli.jobfiles.report import FileReport
from sharq_client.requests import EnqueueJob
from sharq_client.streaming import EnqueueAnswers, stops
from sharq_client.sync.client import Client

MAX_ROUND_JOBS = 4_000
CALLS_IN_FLIGHT = 4

MAX_ROUND_BYTES = 8 * 1024 * 1024
"""The most bytes of records of one round. Two rounds are in memory: one is sent while the next one is read."""


class FileChanged(Exception):
    """The beginning of the file is not what an earlier run has sent."""


class BadFile(Exception):
    """A line is wrong, and the run is strict."""


class _Round(msgspec.Struct):
    """Consecutive records of the file, with the jobs of those that are right.

    Attributes:
        reached: the position in the file after them.
        read_bytes: the same as bytes of the stored file.
    """

    records: list[Record] = []
    jobs: list[EnqueueJob] = []
    bad: list[tuple[Record, str]] = []
    reached: Reached = Reached()
    read_bytes: int = 0


class _Sent(msgspec.Struct):
    """A round that is sent.

    Attributes:
        answers: the answers to come, one for each job.
        is_settled: True once the answers are counted.
    """

    round: _Round
    answers: Future[EnqueueAnswers]
    is_settled: bool = False


class Sender:
    """The sender of one file.

    Args:
        client: its retries are the tries until the run stops.
        on_progress: is called after each round.
        defaults: the values of fields that a record does not have.
        run: the text that the ids of jobs without an id of their own depend on.
        is_strict: True if the run ends before the first line that is wrong.
        repeats: True if jobs with ids of their own count as sent before, too.
    """

    def __init__(
        self,
        client: Client,
        file: JobFile,
        progress: ProgressFile,
        report: FileReport,
        *,
        on_progress: Callable[[FileReport], None],
        defaults: Mapping[str, object],
        run: str = "",
        is_strict: bool = False,
        repeats: bool = False,
    ) -> None:
        self._client = client
        self._file = file
        self._progress = progress
        self._report = report
        self._on_progress = on_progress
        self._defaults = {**defaults, "repeat": True} if repeats else dict(defaults)
        self._run = run
        self._is_strict = is_strict
        self._digest = hashlib.blake2b(file.header_text, digest_size=16)
        self._thread = ThreadPoolExecutor(1, "enqueue")

    def send(self, after: Reached) -> None:
        """Send all records after a position, and wait for the answers.

        On every end but a complete one, the report says up to which line all jobs are answered.

        Raises:
            SharqError: the server cannot be used; the lines of the last round are perhaps enqueued.
            FileChanged: the records before the position are others than before. Nothing was sent.
            BadFile: the run is strict, and a line is wrong. The lines before it are enqueued.
            OSError: the progress or the lines that failed cannot be written.
            KeyboardInterrupt: the calls in flight have ended and are counted, unless there was a second one.
        """
        records = self._file.records()
        self._skip(records, after)
        self._report.reached = after
        with self._thread:
            sent: _Sent | None = None
            try:
                for round_ in self._rounds(records):
                    if sent is not None:
                        self._settle(sent)
                    with held_back():  # or a round that was sent would not be known
                        sent = self._start(round_)
            finally:
                # Also after an interruption, so that a run that goes on sends nothing twice.
                if sent is not None and not sent.is_settled:
                    self._settle(sent)

    def _skip(self, records: Iterator[Record], after: Reached) -> None:
        if not after.line:
            return
        for record in records:
            self._digest.update(record.text)
            if record.line >= after.line:
                break
        if self._digest.hexdigest() != after.digest:
            raise FileChanged

    def _rounds(self, records: Iterator[Record]) -> Iterator[_Round]:
        round_, size_bytes = _Round(), 0
        for record in records:
            try:
                round_.jobs.append(job_of(record, self._file.header, self._defaults, self._run))
                round_.records.append(record)
            except BadLine as error:
                if self._is_strict:
                    yield self._ended(round_)
                    self._report.bad(record, str(error))
                    raise BadFile from None
                round_.bad.append((record, str(error)))
            self._digest.update(record.text)
            round_.reached = Reached(record.line, "", self._run)
            size_bytes += len(record.text)
            if len(round_.jobs) == MAX_ROUND_JOBS or size_bytes >= MAX_ROUND_BYTES:
                yield self._ended(round_)
                round_, size_bytes = _Round(), 0
        yield self._ended(round_)

    def _ended(self, round_: _Round) -> _Round:
        round_.reached = msgspec.structs.replace(round_.reached, digest=self._digest.hexdigest())
        round_.read_bytes = self._file.read_bytes
        return round_

    def _start(self, round_: _Round) -> _Sent:
        """Send a round in the thread, while the next one is read. The jobs of a queue keep their order."""
        call = partial(self._client.enqueue_many, round_.jobs, in_flight=CALLS_IN_FLIGHT)
        return _Sent(round_, self._thread.submit(call))

    def _settle(self, sent: _Sent) -> None:
        """Wait for the answers of a round, and count them.

        Raises:
            SharqError: the server could not be used for one of its jobs. The round is then not behind the run.
        """
        answers = sent.answers.result()
        with held_back():  # or some of the answers would not be counted, and the round would be sent again
            sent.is_settled = True
            refusals = self._count(sent.round, answers)
        self._on_progress(self._report)
        if refusals:
            # The first cause, and not one of the jobs that were not sent because of it.
            raise max(refusals, key=lambda error: (error.perhaps_done, error.__cause__ is not None))

    def _count(self, round_: _Round, answers: EnqueueAnswers) -> list[errors.SharqError]:
        """Count the answers of a round, and note that it is behind the run unless a refusal ends the run.

        Returns:
            the refusals that end it.
        """
        refusals: list[errors.SharqError] = []
        for record, problem in round_.bad:
            self._report.bad(record, problem)
        for record, answer in zip(round_.records, answers, strict=True):
            if isinstance(answer, errors.SharqError) and stops(answer):
                refusals.append(answer)
            elif isinstance(answer, errors.SharqError):
                self._report.refused(record, answer)
            else:
                self._report.enqueued(is_duplicate=answer.duplicate)
        # A run that goes on skips these lines, so those that failed have to be in their file first.
        self._report.flush_rejected()
        if not refusals and round_.reached.line:
            self._report.reached = round_.reached
            self._report.read_bytes = round_.read_bytes
            self._progress.save(round_.reached)
        return refusals
