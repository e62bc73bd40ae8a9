"""Every promise has a test that names it, and every test names a promise that exists."""

import ast
import re
from collections.abc import Iterable

from tests.promises import DEFERRED, PENDING, PROMISES
from tests.tidy.tree import Source, sources

# Contracts that backends must keep are published in the package and are tests all the same.
TEST_FOLDERS = ("tests/", "src/walnut/testing/")


def named_promises(files: Iterable[Source]) -> dict[str, list[str]]:
    """Promise id -> `path:line` of the tests whose name holds it (`test_L5_…`, `test_L1_L6_…`)."""
    named: dict[str, list[str]] = {}
    for source in files:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for promise in _ids(node.name):
                    named.setdefault(promise, []).append(f"{source.path}:{node.lineno}")
    return named


def _ids(name: str) -> list[str]:
    if not re.match(r"test", name, re.IGNORECASE):
        return []
    return re.findall(r"(?:_|^Test)([LVTREC]\d+)(?=_|$)", name)


def test_named_promises() -> None:
    text = "def test_L1_L6_kept(): ...\nclass TestV3: ...\nasync def test_T2(): ...\ndef make_L4(): ...\n"
    assert named_promises([Source("tests/x.py", text)]) == {
        "L1": ["tests/x.py:1"],
        "L6": ["tests/x.py:1"],
        "V3": ["tests/x.py:2"],
        "T2": ["tests/x.py:3"],
    }
    assert named_promises([Source("tests/x.py", "def test_log_LF_1(): ...\ndef test_1L(): ...")]) == {}


def disagreements(
    named: dict[str, list[str]], promises: Iterable[str], deferred: Iterable[str], pending: Iterable[str]
) -> list[str]:
    """Where tests, promises and their states do not fit together."""
    known, later, open_ = set(promises), set(deferred), set(pending)
    found = [f"tests/promises.py:1: {i} is no promise" for i in sorted((later | open_) - known)]
    found += [f"tests/promises.py:1: {i} is both DEFERRED and PENDING" for i in sorted(later & open_)]
    for promise, places in sorted(named.items()):
        if promise not in known:
            found += [f"{place}: {promise} is no promise: see tests/promises.py" for place in places]
        elif promise in open_:
            found.append(f"{places[0]}: {promise} has a test: take it out of PENDING in tests/promises.py")
    untested = known - later - open_ - set(named)
    return found + [f"tests/promises.py:1: {i} has no test: name one `test_{i}_…`" for i in sorted(untested)]


def test_disagreements() -> None:
    at = ["tests/x.py:1"]
    assert disagreements({"L1": at}, ["L1", "L2", "L3"], ["L2"], ["L3"]) == []
    assert disagreements({"L2": at}, ["L2"], ["L2"], []) == []  # a deferred promise may be tested in part
    assert "is no promise" in disagreements({"L9": at}, [], [], [])[0]
    assert "take it out of PENDING" in disagreements({"L1": at}, ["L1"], [], ["L1"])[0]
    assert "has no test" in disagreements({}, ["L1"], [], [])[0]
    assert "both" in disagreements({}, ["L1"], ["L1"], ["L1"])[0]
    assert "is no promise" in disagreements({}, [], [], ["L1"])[0]


def test_every_promise_has_a_test_and_every_test_a_promise() -> None:
    files = [s for s in sources() if s.path.startswith(TEST_FOLDERS) and s.path.endswith(".py")]
    findings = disagreements(named_promises(files), PROMISES, DEFERRED, PENDING)
    assert not findings, "\n" + "\n".join(findings)
