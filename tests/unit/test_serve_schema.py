"""Arguments of MCP tools that no client should send: refused by name, and never quoted."""

import pytest

from walnut.errors import InvalidArgument
from walnut.serve.schema import arguments
from walnut.serve.tools import TOOLS

HALF = "\ud800"


@pytest.mark.parametrize(
    ("tool", "given", "where"),
    [
        ("recall", {"query": "x", "mode": "a secret"}, "mode"),
        ("why", {"id": "x", "direction": "a secret - at `$.id`"}, "direction"),
        ("recall", {"query": "x", "tags": HALF}, "arguments"),
        ("why", {"id": "x", "direction": HALF}, "arguments"),
        ("recall", {"query": "x", "k": "a secret"}, "k"),
    ],
)
def test_a_wrong_argument_is_named_and_not_quoted(tool: str, given: dict[str, object], where: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        arguments(given, TOOLS[tool].takes)
    assert caught.value.where == where
    assert caught.value.hint
    assert "secret" not in str(caught.value)
