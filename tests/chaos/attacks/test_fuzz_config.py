"""The configuration's parser takes what it knows and refuses all else by ConfigError, whatever it is fed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from sharq_core.config import Config, load
from sharq_core.config.settings import KINDS, SECTIONS
from sharq_core.errors import ConfigError
from tests.chaos.stage import is_quick

THOROUGH = settings(max_examples=200 if is_quick() else 5000, deadline=None)

NAMES = st.sampled_from(sorted({key.name for key in KINDS}))
SECTION_NAMES = st.sampled_from([*SECTIONS, "DEFAULT", ""])
VALUES = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.sampled_from(
        ["true", "1e3", "0", "-1", "a:1", "[::1]:1", "redis://:@h", "unix://", "%(x)s", "\ud7ff"]
    ),
)
LINES = st.one_of(
    SECTION_NAMES.map("[{}]".format),
    st.builds("{} : {}".format, NAMES, VALUES),
    st.builds("{}={}".format, st.text(max_size=8), VALUES),
    st.text(max_size=30),
)
TEXTS = st.lists(LINES, max_size=12).map("\n".join)


def assert_read_or_refused(content: bytes, environ: dict[str, str]) -> None:
    with TemporaryDirectory(prefix="sharq-") as directory:
        path = Path(directory) / "sharq.conf"
        path.write_bytes(content)
        try:
            config = load(path, environ)
        except ConfigError as error:
            assert str(error)
        else:
            assert isinstance(config, Config)


@THOROUGH
@given(text=TEXTS)
def test_any_file_is_read_or_refused_by_name(text: str) -> None:
    assert_read_or_refused(text.encode(errors="surrogatepass"), {})


@THOROUGH
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    assert_read_or_refused(content, {})


@THOROUGH
@given(
    environ=st.dictionaries(
        st.sampled_from([f"SHARQ_{key.section}_{key.name}".upper().replace("-", "_") for key in KINDS]),
        VALUES,
        max_size=4,
    )
)
def test_any_environment_is_read_or_refused_by_name(environ: dict[str, str]) -> None:
    assert_read_or_refused(b"", environ)
