"""The route in the spans of requests: that of the API's document, whichever of an operation's paths was used."""

from __future__ import annotations

from router.api.routes.route import spellings
from router.api.routes.table import ROUTES
from router.traced_gateway import template_of

PATHS = [(route.operation, path) for route in ROUTES for path in route.paths]


def test_each_documented_path_is_found_in_each_spelling() -> None:
    for operation, path in PATHS:
        for spelling in spellings(path):
            assert template_of(operation, spelling.replace("{", "").replace("}", "")) == path, operation
