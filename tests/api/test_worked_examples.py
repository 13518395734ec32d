"""The worked examples of docs/limits.md, run as printed and in order: their answers must mean what is printed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from tests.api.test_readme import SPANS, Comparison, Json, curl, examples
from tests.support.processes.servers import ServerFactory
from tests.support.tools import missing_tool

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
MODELS = ("A carrier", "A number", "A campaign", "A voice trunk", "An LLM key")


class WorkedComparison(Comparison):
    """Waits are compared with what is printed: a limit must not end sooner than a second before, nor later."""

    def check(self, printed: Json, real: Json, field: str = "") -> None:
        if field in SPANS:
            assert (printed is None) == (real is None), f"{field}: {real}"
            if isinstance(printed, int) and isinstance(real, int):
                assert printed - 1_000 <= real <= printed + 100, f"{field}: {real}"
        else:
            super().check(printed, real, field)


def section() -> str:
    """The section with the examples."""
    found = re.search(r"^## Worked examples\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_every_model_has_an_example() -> None:
    parts = re.split(r"^### ", section(), flags=re.MULTILINE)[1:]
    assert [part.partition(":")[0] for part in parts] == list(MODELS)
    assert all(list(examples(part)) for part in parts)


async def test_worked_examples_answer_as_printed(own_server: ServerFactory) -> None:
    if shutil.which("curl") is None:
        missing_tool("curl")
    server, comparison = own_server(), WorkedComparison()
    for command, printed in examples(section()):
        real = await curl(comparison.translate(command), server.url)
        comparison.check(json.loads(printed), json.loads(real), command)
