"""The memory allocator of a store that is started here.

A call of a function makes and frees hundreds of small pieces, so that the C library's allocator takes a quarter of the
store's time. Distributions build Redis and Valkey with jemalloc; the embedded one comes without.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

_PRELOAD = "LD_PRELOAD"
_TUNABLES = "GLIBC_TUNABLES"
_TUNED = "glibc.malloc.tcache_count=1000"
"""What is freed is kept at hand, of each size so many pieces and not 7: 6 % of the store's instructions. Other C
libraries, and older ones with a smaller limit, take no notice.
"""

_JEMALLOC = "libjemalloc.so.2"


def tuned_environ() -> dict[str, str]:
    """The environment of a store: this process's, with jemalloc where the system has it and else the C library's
    allocator tuned. An operator who has set `LD_PRELOAD` or `GLIBC_TUNABLES` has decided that.
    """
    if not os.environ.keys().isdisjoint({_TUNABLES, _PRELOAD}):
        return dict(os.environ)
    jemalloc = find_jemalloc()
    return {**os.environ, **({_PRELOAD: str(jemalloc)} if jemalloc else {_TUNABLES: _TUNED})}


def find_jemalloc() -> Path | None:
    """Where Linux distributions have it: 11 to 14 % of the store's time beside the tuned C library's."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "."
    for folder in (Path("/usr/lib", multiarch), Path("/usr/lib64"), Path("/usr/local/lib")):
        if (folder / _JEMALLOC).is_file():
            return folder / _JEMALLOC
    return None
