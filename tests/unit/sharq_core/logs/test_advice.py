"""The setting to change in the reason of a failed connection."""

from __future__ import annotations

import pytest

from router.shards.link_reasons import why_link_ended
from sharq_core.logs.advice import LINKS, SENTINELS, STORE, with_advice


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("it asks for a password, and none was given (NOAUTH)", "set [redis] username and password, or url"),
        ("a password was given, and it has none (AUTH)", "remove the password of [redis] username"),
        ("the user lacks a needed permission (NOPERM)", "check the permissions of the user of [redis]"),
        ("it has no database of that number (SELECT)", "check [redis] db, or url"),
        (
            "its certificate is for another name",
            "check the [redis] setting that names it, or the names in the server's tls-cert-file",
        ),
        ("no answer in time (perhaps it expects TLS)", "check [redis] tls_ca, or rediss:// in url"),
        ("it refuses this end's certificate: it has expired", "renew [redis] tls_cert and tls_key"),
        ("it refuses this end's certificate: it is revoked", "check [redis] tls_cert and tls_key, and the"),
        ("its certificate is not valid: certificate is not yet valid", "check the clocks, and the server's"),
    ],
)
def test_a_reason_of_the_store_names_the_setting(reason: str, advice: str) -> None:
    assert with_advice(reason, STORE).startswith(f"{reason}: {advice}")
    assert "[redis] sentinel" not in with_advice(reason, STORE)


@pytest.mark.parametrize(
    "reason",
    [
        "the connection was refused: nothing listens there",
        "it is loading its data (LOADING)",
        "it is a replica, and takes no writes (READONLY)",
        "no answer within 2 s",
        "the link was lost",
    ],
)
def test_a_reason_that_no_setting_causes_stays_as_it_is(reason: str) -> None:
    assert with_advice(reason, STORE) == with_advice(reason, LINKS) == why_link_ended(reason) == reason


def test_a_reason_of_a_sentinel_names_its_own_settings() -> None:
    reason = "the user is unknown or the password is wrong (WRONGPASS)"
    assert with_advice(reason, SENTINELS).endswith("check [redis] sentinel_username and sentinel_password")


def test_a_link_names_the_settings_of_both_ends() -> None:
    reason = "its certificate is not valid: certificate has expired"
    assert with_advice(reason, LINKS) == f"{reason}: renew [cluster] link_tls_cert of the other end"
    assert why_link_ended("the shard has a different link secret").endswith(
        ": check [cluster] secret, the same at both ends"
    )
