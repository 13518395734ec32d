"""Reads the file of profiles: servers by name, so that nobody types URLs and tokens.

The file is `sharq/profiles.toml` in the user's directory of configuration, with a table for each profile:

    default = "local"

    [local]
    url = "http://127.0.0.1:8080"

    [production]
    url = ["https://router-1.example:8080", "https://router-2.example:8080"]
    token_file = "~/.config/sharq/production.token"
    ca = "~/.config/sharq/ca.pem"
    timeout = "30s"
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import msgspec

from sharq_client.cli.exits import Exit, Failed


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one server.

    Attributes:
        url: the URL, or those of several routers of one cluster.
        token: the bearer token, or token_file: a file that contains it.
        ca: a file with the certificates to trust.
        timeout: the longest wait for an answer, such as "30s".
    """

    url: str | list[str] | None = None
    token: str | None = None
    token_file: str | None = None
    ca: str | None = None
    timeout: str | None = None

    @property
    def urls(self) -> list[str]:
        """The URLs as a list, which is empty if there is none."""
        return self.url.split() if isinstance(self.url, str) else list(self.url or ())

    def secret(self) -> str | None:
        """Return the token, from its file if need be; None if the profile has none.

        Raises:
            Failed: the file cannot be read.
        """
        if self.token_file is None:
            return self.token
        path = Path(self.token_file).expanduser()
        try:
            return path.read_text().strip()
        except OSError as error:
            raise Failed(f"token_file of the profile: {error}", Exit.USAGE) from error


def path_of_profiles() -> Path:
    """Return the path of the file, which need not exist."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "sharq" / "profiles.toml"


def read_profiles() -> tuple[dict[str, Profile], str | None]:
    """Return the profiles by name, and the name of the default one; no profiles if there is no file.

    Raises:
        Failed: the file cannot be read, or is wrong.
    """
    path = path_of_profiles()
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}, None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failed(f"{path}: {error}", Exit.USAGE) from error
    default = content.pop("default", None)
    profiles = {name: _profile_of(path, name, settings) for name, settings in content.items()}
    if default is not None and default not in profiles:
        raise Failed(f"{path}: default: expected the name of a profile, got {default!r}", Exit.USAGE)
    return profiles, default


def _profile_of(path: Path, name: str, settings: object) -> Profile:
    try:
        return msgspec.convert(settings, Profile)
    except msgspec.ValidationError as error:
        raise Failed(f"{path}: profile {name}: {error}", Exit.USAGE) from error


def find_profile(name: str | None) -> Profile | None:
    """Return the profile of a name; for None the default one, or None if there is none.

    Raises:
        Failed: there is no such profile, or the file is wrong.
    """
    profiles, default = read_profiles()
    name = name or default
    if name is None:
        return None
    if name not in profiles:
        names = ", ".join(sorted(profiles)) or "none"
        raise Failed(f"there is no profile {name} in {path_of_profiles()}, which has: {names}", Exit.USAGE)
    return profiles[name]
