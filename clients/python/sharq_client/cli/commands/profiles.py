"""Lists and shows the profiles: the servers that the user has given a name."""

from __future__ import annotations

from sharq_client.cli.profiles import path_of_profiles, read_profiles
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column


def ls(session: Session) -> None:
    """List the profiles of profiles.toml.

    Examples:
      sharq profile ls
    """
    profiles, default = read_profiles()
    if session.output.is_json:
        session.output.documents(
            {"name": name, "url": profile.urls, "default": name == default}
            for name, profile in profiles.items()
        )
        return
    if not profiles:
        session.output.note(f"There are no profiles in {path_of_profiles()}.")
        return
    session.output.table(
        (Column("profile"), Column("url"), Column("default")),
        [
            [name, " ".join(profile.urls), "yes" if name == default else ""]
            for name, profile in profiles.items()
        ],
    )


def show(session: Session) -> None:
    """Show which server the other commands talk to, with the options and variables of this call.

    Examples:
      sharq profile show
      sharq profile show --profile production
    """
    facts = {
        "url": session.urls,
        "token": session.token is not None,
        "ca": session.ca,
        "timeout_s": session.timeout_s,
    }
    if session.output.is_json:
        session.output.document(facts)
        return
    session.output.facts(
        [
            ("url", session.url),
            ("token", "set" if session.token else "none"),
            ("ca", session.ca or "that of the system"),
            ("timeout", f"{session.timeout_s:g} s"),
            ("profiles", str(path_of_profiles())),
        ]
    )
