"""Certificates with chosen dates, signed by an authority of make_certificates (groups.py)."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

_SETTINGS = """
[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = names
unique_subject = no
x509_extensions = {extensions}
[names]
commonName = supplied
[server]
subjectAltName = IP:127.0.0.1,DNS:localhost
[authority]
basicConstraints = critical,CA:TRUE
"""


def dated(
    authority: Path, folder: Path, begins_days: float, ends_days: float, *, is_authority: bool = False
) -> Path:
    """Return a directory like that of the authority whose certificate is valid for the given time.

    Args:
        begins_days, ends_days: days from now, negative for the past.
        is_authority: make the certificate one of an authority of its own.
    """
    folder.mkdir()
    for name in ("ca.pem", "key.pem"):
        shutil.copy(authority / name, folder / name)
    extensions = "authority" if is_authority else "server"
    (folder / "settings").write_text(_SETTINGS.format(folder=folder, extensions=extensions))
    (folder / "index").touch()
    (folder / "serial").write_text("01\n")
    times = ["-startdate", _asn1(begins_days), "-enddate", _asn1(ends_days)]
    signer = ["-cert", str(authority / "ca.pem"), "-keyfile", str(authority / "ca.key")]
    words = [
        "-batch",
        "-notext",
        "-config",
        "settings",
        "-in",
        str(authority / "request"),
        "-out",
        "cert.pem",
    ]
    subprocess.run(
        ["openssl", "ca", *words, *times, *signer], cwd=folder, check=True, capture_output=True, timeout=30
    )
    return folder


def _asn1(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
