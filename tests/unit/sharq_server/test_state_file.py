"""The state file of a local cluster: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharq_server.local_cluster.state_file import ProcessState, write_state


def test_an_error_names_the_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The system's own error of a full disk names no file, and others name the unfinished one."""
    path = tmp_path / "state.json"
    path.mkdir()
    with pytest.raises(OSError, match=r"^\[Errno 21\] Is a directory: ") as caught:
        write_state(path, [ProcessState("router", 1, "http://127.0.0.1:8080")])
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    assert list(tmp_path.iterdir()) == [path]
