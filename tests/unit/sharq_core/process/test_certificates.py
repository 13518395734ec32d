"""From when until when certificates are valid, and the warnings before they end: log, notices, metric."""

from __future__ import annotations

import logging
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sharq_core.config import load
from sharq_core.process.certificates.files import (
    CertificateFile,
    api_certificates,
    link_certificates,
    store_certificates,
)
from sharq_core.process.certificates.validity import Validity, read_validities
from sharq_core.process.certificates.watch import Ends, Stage, WatchedFile, stage_of
from sharq_core.process.notices import Notices
from tests.support.stores.certificates import dated
from tests.support.stores.groups import make_certificates

DAY_S = 86_400.0
LOG = "sharq_core.process.certificates.watch"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("authority") / "made")


class Clock:
    """Seconds since the epoch that the test moves."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


class Watched:
    """A watched file with everything that it tells."""

    def __init__(self, path: Path, *, is_authority: bool = False, is_kept: bool = False) -> None:
        self.notices = Notices()
        self.clock = Clock()
        file = CertificateFile(
            use="api",
            setting="[sharq-server] tls_cert",
            path=path,
            is_authority=is_authority,
            is_kept=is_kept,
        )
        self.watch = WatchedFile(file, self.notices, self.clock)

    def metric(self) -> float | None:
        registry = CollectorRegistry()
        registry.register(Ends([self.watch]))
        return registry.get_sample_value("sharq_certificate_expiry_seconds", {"use": "api"})


def test_the_dates_are_those_that_openssl_reads(authority: Path, tmp_path: Path) -> None:
    path = dated(authority, tmp_path / "made", -100.5, 20_000) / "cert.pem"
    (validity,) = read_validities(path)
    known = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined] # private, so here only
    assert validity.begins_s == ssl.cert_time_to_seconds(known["notBefore"])
    assert validity.ends_s == ssl.cert_time_to_seconds(known["notAfter"])
    assert datetime.fromtimestamp(validity.ends_s, UTC).year > 2049, (
        "such dates have another form in the file"
    )


def test_every_certificate_of_a_system_can_be_read() -> None:
    path = Path(ssl.get_default_verify_paths().openssl_cafile).resolve()
    if not path.exists():
        path = Path("/etc/ssl/certs/ca-certificates.crt")
    if not path.exists():
        pytest.skip("this system has no file of authorities")
    assert len(read_validities(path)) == path.read_text().count("BEGIN CERTIFICATE")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMAYwBDACMAA=\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_file_without_a_readable_certificate_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cert.pem"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"no certificate|cannot be read|Incorrect padding"):
        read_validities(path)


@pytest.mark.parametrize("at", range(0, 900, 37))
def test_a_damaged_certificate_is_an_error_and_nothing_worse(
    authority: Path, tmp_path: Path, at: int
) -> None:
    whole = ssl.PEM_cert_to_DER_cert((authority / "cert.pem").read_text())
    damaged = bytearray(whole)
    damaged[at % len(whole)] ^= 0xFF
    path = tmp_path / "cert.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(bytes(damaged)))
    try:
        read_validities(path)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("begins_days", "ends_days", "stage"),
    [
        (-335, 31, Stage.VALID),
        (-335, 29, Stage.SOON),
        (-335, 6, Stage.URGENT),
        (-335, -0.1, Stage.EXPIRED),
        (1, 335, Stage.NOT_YET),
        (-60, 30, Stage.VALID),  # of 90 days: renewed automatically at about this time
        (-70, 20, Stage.SOON),
        (-0.5, 0.5, Stage.VALID),  # of a day
        (-0.95, 0.05, Stage.URGENT),
    ],
)
def test_a_certificate_ends_soon_by_its_date_and_its_lifetime(
    begins_days: float, ends_days: float, stage: Stage
) -> None:
    assert stage_of(Validity(DAY_S * begins_days, DAY_S * ends_days), 0.0) is stage


async def test_a_certificate_that_ends_soon_is_told_at_once_and_daily(
    authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(dated(authority, tmp_path / "made", -335, 8.5) / "cert.pem")
    await watched.watch.look()
    (notice,) = watched.notices.public()
    assert notice.startswith("the certificate of [sharq-server] tls_cert ends in 8 days (20")
    assert notice.endswith("): renew it")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "certificate_ends_soon setting='[sharq-server] tls_cert' ends=20" in caplog.text
    assert caplog.text.endswith("Z days=8: renew it\n")
    ends_s = watched.metric()
    assert ends_s is not None
    assert abs(ends_s - time.time() - 8.5 * DAY_S) < 60
    for _ in range(143):
        watched.clock.now_s += 600
        await watched.watch.look()
    assert len(caplog.records) == 1, "once a day"
    watched.clock.now_s += 600
    await watched.watch.look()
    assert len(caplog.records) == 2
    watched.clock.now_s += DAY_S
    await watched.watch.look()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR"]
    watched.clock.now_s += 8 * DAY_S
    await watched.watch.look()
    assert "certificate_refused_by_all" in caplog.records[-1].getMessage()
    assert "reason='certificate has expired': renew it" in caplog.records[-1].getMessage()
    (notice,) = watched.notices.public()
    assert "has expired" in notice
    assert "every peer refuses it: renew it" in notice


async def test_a_renewed_certificate_ends_the_warning(
    authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = dated(authority, tmp_path / "old", -335, -1) / "cert.pem"
    watched = Watched(path)
    await watched.watch.look()
    assert watched.notices.all()
    caplog.clear()
    caplog.set_level(logging.INFO, LOG)
    path.write_bytes((dated(authority, tmp_path / "new", -1, 364) / "cert.pem").read_bytes())
    await watched.watch.look()
    assert watched.notices.all() == ()
    assert "certificate_valid setting='[sharq-server] tls_cert' ends=" in caplog.text


async def test_a_chain_ends_with_its_first_certificate_and_authorities_with_their_last(
    authority: Path, tmp_path: Path
) -> None:
    old = dated(authority, tmp_path / "old", -335, -1, is_authority=True) / "cert.pem"
    new = dated(authority, tmp_path / "new", -1, 335, is_authority=True) / "cert.pem"
    both = tmp_path / "both.pem"
    both.write_bytes(old.read_bytes() + new.read_bytes())
    shown, trusted = Watched(both), Watched(both, is_authority=True)
    await shown.watch.look()
    await trusted.watch.look()
    assert shown.notices.all()
    assert trusted.notices.all() == (), "peers may have a certificate of the new one already"


async def test_authorities_of_which_none_is_valid_are_told(
    authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = dated(authority, tmp_path / "old", -335, -1, is_authority=True) / "cert.pem"
    watched = Watched(path, is_authority=True)
    await watched.watch.look()
    (notice,) = watched.notices.all()
    assert "the authority of [sharq-server] tls_cert has expired" in notice
    assert "no peer's certificate is accepted: replace it" in notice
    assert "authority_not_valid setting=" in caplog.text


async def test_a_kept_authority_counts_as_it_was_at_the_start(authority: Path, tmp_path: Path) -> None:
    path = dated(authority, tmp_path / "old", -335, 3, is_authority=True) / "cert.pem"
    watched = Watched(path, is_authority=True, is_kept=True)
    await watched.watch.look()
    before = watched.metric()
    path.write_bytes((dated(authority, tmp_path / "new", -1, 364) / "cert.pem").read_bytes())
    await watched.watch.look()
    assert watched.metric() == before
    assert watched.notices.all()


async def test_a_file_that_cannot_be_read_is_told_and_has_no_metric(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(tmp_path / "nothing.pem")
    await watched.watch.look()
    await watched.watch.look()
    (notice,) = watched.notices.all()
    assert notice == "[sharq-server] tls_cert: the file cannot be read: No such file or directory"
    assert len(caplog.records) == 1
    assert watched.metric() is None


def test_each_kind_of_connection_has_its_certificates(tmp_path: Path) -> None:
    environ = {
        f"SHARQ_{name}": str(tmp_path / name)
        for name in (
            "SERVER_TLS_CERT", "SERVER_TLS_KEY", "CLUSTER_LINK_TLS_CERT", "CLUSTER_LINK_TLS_KEY",
            "CLUSTER_LINK_TLS_CA", "REDIS_TLS_CERT", "REDIS_TLS_KEY", "REDIS_TLS_CA", "REDIS_SENTINEL_TLS_CA",
            "REDIS_SENTINEL_TLS_CERT", "REDIS_SENTINEL_TLS_KEY",
        )
    }  # fmt: skip
    places = {"SHARQ_REDIS_SENTINELS": "a,b,c", "SHARQ_REDIS_SENTINEL_SERVICE": "main"}
    config = load(None, environ | places)
    files = [
        *api_certificates(config.server),
        *link_certificates(config.cluster),
        *store_certificates(config.redis, config.store),
    ]
    uses = ["api", "link", "link_ca", "store", "store_ca", "sentinel", "sentinel_ca"]
    assert [file.use for file in files] == uses
    assert [file.use for file in files if file.is_authority] == ["link_ca", "store_ca", "sentinel_ca"]
    assert [file.use for file in files if file.is_kept] == ["link_ca"]
    plain = load(None, {})
    assert not api_certificates(plain.server)
    assert not link_certificates(plain.cluster)
    assert not store_certificates(plain.redis, plain.store)


def test_notices_end_by_themselves_and_some_are_for_operators_only() -> None:
    now = [0.0]
    notices = Notices(lambda: now[0])
    notices.tell("file", "the file is open", is_public=False)
    notices.tell("link", "a link was refused", for_s=60)
    assert notices.all() == ("the file is open", "a link was refused")
    assert notices.public() == ("a link was refused",)
    assert notices.beside(None, "the store is away") == "the store is away; a link was refused"
    now[0] = 60.0
    assert notices.all() == ("the file is open",)
    assert notices.beside(None) is None
    notices.tell("file", None)
    assert notices.all() == ()
