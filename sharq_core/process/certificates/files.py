"""Lists the certificates that the configuration names, for each kind of connection."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from sharq_core.config import ClusterSettings, RedisSettings, ServerSettings, StoreAddress, StoreMode


class CertificateFile(Struct, frozen=True, kw_only=True):
    """A PEM file with certificates that this process uses.

    Attributes:
        use: the label in metrics; that of an authority ends in `_ca`.
        setting: the setting that names the file.
        is_authority: True for authorities that peers' certificates are checked against. One that is valid is enough:
            such a file may hold the previous ones, or those of a whole system. Otherwise it is a certificate that this
            process shows, with its chain, all of which must be valid.
        is_kept: True if the process uses what it read at its start.
    """

    use: str
    setting: str
    path: Path
    is_authority: bool = False
    is_kept: bool = False


def api_certificates(server: ServerSettings) -> list[CertificateFile]:
    """Return the certificate of the API; none for plain HTTP."""
    return _files(("api", "[sharq-server] tls_cert", server.tls_cert))


def link_certificates(cluster: ClusterSettings) -> list[CertificateFile]:
    """Return the certificate and the authority of the links; none for plain links."""
    return _files(
        ("link", "[cluster] link_tls_cert", cluster.link_tls_cert),
        ("link_ca", "[cluster] link_tls_ca", cluster.link_tls_ca),
    )


def store_certificates(redis: RedisSettings, store: StoreAddress) -> list[CertificateFile]:
    """Return the certificates and authorities towards the store and its Sentinels; none without TLS."""
    files: list[CertificateFile] = []
    if store.has_tls:
        files += _files(
            ("store", "[redis] tls_cert", redis.tls_cert), ("store_ca", "[redis] tls_ca", redis.tls_ca)
        )
    if store.mode is StoreMode.SENTINEL:
        files += _files(
            ("sentinel", "[redis] sentinel_tls_cert", redis.sentinel_tls_cert),
            ("sentinel_ca", "[redis] sentinel_tls_ca", redis.sentinel_tls_ca),
        )
    return files


def _files(*named: tuple[str, str, Path | None]) -> list[CertificateFile]:
    return [
        CertificateFile(
            use=use, setting=setting, path=path, is_authority=use.endswith("_ca"), is_kept=use == "link_ca"
        )
        for use, setting, path in named
        if path is not None
    ]
