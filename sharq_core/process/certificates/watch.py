"""Warns before a certificate of this process ends: in the log, in its notices and as a metric.

Otherwise its peers would notice first, by refusing it.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sharq_core.logs.plurals import counted
from sharq_core.process.certificates.files import CertificateFile
from sharq_core.process.certificates.validity import Validity, read_validities
from sharq_core.process.notices import Notices

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0
_DAY_S = 86_400.0
_SAY_EVERY_S = _DAY_S

SOON_S, URGENT_S = 30 * _DAY_S, 7 * _DAY_S
_SOON_SHARE, _URGENT_SHARE = 1 / 4, 1 / 12
"""A certificate ends soon when less than SOON_S, and less than a quarter of its lifetime, is left. One that is renewed
automatically is renewed before that, however short its lifetime is.
"""


class Stage(enum.Enum):
    """The state of a certificate."""

    VALID = "valid"
    SOON = "ends soon"
    URGENT = "ends very soon"
    EXPIRED = "certificate has expired"
    NOT_YET = "certificate is not yet valid"


def stage_of(validity: Validity, now_s: float) -> Stage:
    """Return the state of a certificate at a time, in seconds since the epoch."""
    left_s, lifetime_s = validity.ends_s - now_s, validity.ends_s - validity.begins_s
    if left_s <= 0:
        return Stage.EXPIRED
    if now_s < validity.begins_s:
        return Stage.NOT_YET
    if left_s <= min(URGENT_S, _URGENT_SHARE * lifetime_s):
        return Stage.URGENT
    return Stage.SOON if left_s <= min(SOON_S, _SOON_SHARE * lifetime_s) else Stage.VALID


def watch_certificates(
    stack: AsyncExitStack, registry: CollectorRegistry, files: Sequence[CertificateFile], notices: Notices
) -> None:
    """Check certificates now and every ten minutes, until the stack's end, and export when they end."""
    watched = [WatchedFile(file, notices, time.time) for file in files]
    registry.register(Ends(watched))
    stack.callback(asyncio.create_task(_look_on(watched)).cancel)


async def _look_on(watched: Sequence[WatchedFile]) -> None:
    while True:
        for certificate in watched:
            try:
                await certificate.look()
            except Exception:
                log.exception("certificate_watch_failed setting=%r", certificate.file.setting)
        await asyncio.sleep(LOOK_EVERY_S)


class _Said(Struct, frozen=True):
    """The last state of a certificate that the log has reported, and the time of the report in seconds."""

    state: object
    at_s: float


class WatchedFile:
    """One file of certificates.

    Args:
        clock: returns seconds since the epoch.

    Attributes:
        validity: that of the certificate that matters: the last authority to end, or else the first to end of the
            chain. None if it could not be read.
    """

    def __init__(self, file: CertificateFile, notices: Notices, clock: Callable[[], float]) -> None:
        self.file = file
        self.validity: Validity | None = None
        self._notices = notices
        self._clock = clock
        self._said = _Said(Stage.VALID, 0.0)

    async def look(self) -> None:
        """Read the file, in a thread, and log the problems of its certificates."""
        if self.validity is None or not self.file.is_kept:
            try:
                validities = await asyncio.to_thread(read_validities, self.file.path)
            except (OSError, ValueError) as error:
                self.validity = None
                self._say_unreadable((error.strerror if isinstance(error, OSError) else None) or str(error))
                return
            choose = max if self.file.is_authority else min
            self.validity = choose(validities, key=lambda validity: validity.ends_s)
        self._say(self.validity, stage_of(self.validity, self._clock()))

    def _say_unreadable(self, reason: str) -> None:
        setting = self.file.setting
        self._notices.tell(f"certificate {setting}", f"{setting}: the file cannot be read: {reason}")
        if self._is_news(reason):
            log.warning("certificate_unreadable setting=%r reason=%r", setting, reason)

    def _say(self, validity: Validity, stage: Stage) -> None:
        setting, name = self.file.setting, f"certificate {self.file.setting}"
        is_first_valid = stage is Stage.VALID and self._said.state is Stage.VALID
        self._notices.tell(name, None if stage is Stage.VALID else self._text(validity, stage))
        if is_first_valid or not self._is_news(stage):
            return
        ends = _date(validity.ends_s)
        if stage is Stage.VALID:
            log.info("certificate_valid setting=%r ends=%s", setting, ends)
        elif stage in (Stage.SOON, Stage.URGENT):
            level = logging.ERROR if stage is Stage.URGENT else logging.WARNING
            days = self._days_left(validity)
            log.log(level, "certificate_ends_soon setting=%r ends=%s days=%d: renew it", setting, ends, days)
        elif self.file.is_authority:
            log.error("authority_not_valid setting=%r reason=%r: replace it", setting, stage.value)
        else:
            log.error("certificate_refused_by_all setting=%r reason=%r: renew it", setting, stage.value)

    def _is_news(self, state: object) -> bool:
        """Return True if a state is new, or was last logged a day ago; it then counts as logged."""
        now_s = self._clock()
        if state == self._said.state and abs(now_s - self._said.at_s) < _SAY_EVERY_S:
            return False
        self._said = _Said(state, now_s)
        return True

    def _text(self, validity: Validity, stage: Stage) -> str:
        """Return the notice."""
        setting = self.file.setting
        begins, ends = _date(validity.begins_s), _date(validity.ends_s)
        what, effect, advice = (
            ("authority", "no peer's certificate is accepted", "replace it")
            if self.file.is_authority
            else ("certificate", "every peer refuses it", "renew it")
        )
        if stage is Stage.EXPIRED:
            return f"the {what} of {setting} has expired ({ends}), so {effect}: {advice}"
        if stage is Stage.NOT_YET:
            return f"the {what} of {setting} is not valid before {begins}, so {effect}: {advice}"
        days = self._days_left(validity)
        time_left = f"in {counted(days, 'day')}" if days else "within a day"
        return f"the {what} of {setting} ends {time_left} ({ends}): {advice}"

    def _days_left(self, validity: Validity) -> int:
        return int((validity.ends_s - self._clock()) // _DAY_S)


class Ends(Collector):
    """The metric of the ends of this process's certificates."""

    def __init__(self, watched: Sequence[WatchedFile]) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        """Yield the end of each certificate that could be read; nothing for a process without certificates."""
        if not self._watched:
            return
        ends = GaugeMetricFamily(
            "sharq_certificate_expiry_seconds",
            "Time at which a certificate of this process ends, in seconds since the epoch, by use",
            labels=["use"],
        )
        for certificate in self._watched:
            if certificate.validity is not None:
                ends.add_metric([certificate.file.use], certificate.validity.ends_s)
        yield ends


def _date(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
