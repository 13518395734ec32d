"""Adds to the reason of a failed connection the setting to change."""

from __future__ import annotations

from msgspec import Struct


class ConnectionSettings(Struct, frozen=True, kw_only=True):
    """The settings that decide how one kind of connection is made, in words for people.

    Attributes:
        address: the setting that names the other end.
        account: the user and the password, or the secret.
        database: the number of the database.
        tls: the settings that turn TLS on at this end.
        shown: the certificate that this end shows.
        trusted: the authorities that this end trusts.
        shown_there, trusted_there: the same at the other end.
    """

    address: str
    account: str
    database: str = ""
    tls: str
    shown: str
    trusted: str
    shown_there: str
    trusted_there: str


STORE = ConnectionSettings(
    address="the [redis] setting that names it",
    account="[redis] username and password, or url",
    database="[redis] db, or url",
    tls="[redis] tls_ca, or rediss:// in url",
    shown="[redis] tls_cert and tls_key",
    trusted="[redis] tls_ca",
    shown_there="the server's tls-cert-file",
    trusted_there="the server's tls-ca-cert-file",
)

SENTINELS = ConnectionSettings(
    address="[redis] sentinels",
    account="[redis] sentinel_username and sentinel_password",
    tls="[redis] sentinel_tls and sentinel_tls_ca",
    shown="[redis] sentinel_tls_cert and sentinel_tls_key",
    trusted="[redis] sentinel_tls_ca",
    shown_there="the Sentinel's tls-cert-file",
    trusted_there="the Sentinel's tls-ca-cert-file",
)

LINKS = ConnectionSettings(
    address="[cluster] shards",
    account="[cluster] secret",
    tls="[cluster] link_tls_cert, link_tls_key and link_tls_ca, which both ends need or neither",
    shown="[cluster] link_tls_cert and link_tls_key",
    trusted="[cluster] link_tls_ca",
    shown_there="[cluster] link_tls_cert of the other end",
    trusted_there="[cluster] link_tls_ca of the other end",
)

_ADVICE = (
    ("(NOAUTH)", "set {account}"),
    ("(WRONGPASS)", "check {account}"),
    ("(AUTH)", "remove the password of {account}"),
    ("(NOPERM)", "check the permissions of the user of {account}"),
    ("different link secret", "check {account}, the same at both ends"),
    ("(SELECT)", "check {database}"),
    ("name cannot be resolved", "check {address}"),
    ("for another name", "check {address}, or the names in {shown_there}"),
    ("expects TLS", "check {tls}"),
    ("speaks TLS", "check {tls}"),
    ("does not speak TLS", "check {tls}"),
    ("none was shown", "set {shown}"),
    ("this end's certificate: it has expired", "renew {shown}"),
    ("this end's certificate", "check {shown}, and {trusted_there}"),
    ("this router's certificate", "check {shown}, and {trusted_there}"),
    ("requires a certificate signed", "check {shown}, and {trusted_there}"),
    ("its certificate is not valid: certificate has expired", "renew {shown_there}"),
    ("its certificate is not valid: certificate is not yet valid", "check the clocks, and {shown_there}"),
    ("its certificate is not valid", "check {trusted}, and {shown_there}"),
)
"""Parts of reasons, each with its advice. The first match counts."""


def with_advice(reason: str, settings: ConnectionSettings) -> str:
    """Return a reason with the setting to change; the reason alone if it is not one of the settings' making."""
    advice = next((advice for part, advice in _ADVICE if part in reason), None)
    if advice is None:
        return reason
    return (
        f"{reason}: {advice.format(**{name: getattr(settings, name) for name in settings.__struct_fields__})}"
    )
