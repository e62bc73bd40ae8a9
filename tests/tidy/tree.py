"""The files of this repository, as the house rules see them."""

import ast
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The outer rooms talk to processes, terminals and frameworks; System is where the core does.
OUTSIDE_CORE = ("cli", "serve", "adapters", "interchange", "testing", "system.py")

# (rule, path) -> why that file may break that rule. An entry that is not needed any more fails the run.
EXEMPT: dict[tuple[str, str], str] = {
    ("broad_except", "src/walnut/log/committer.py"): "the committer thread hands every error to the callers that wait",
    ("system_only", "src/walnut/embed/static.py"): "the table is part of the package, read as its modules are",
    ("broad_except", "src/walnut/engine/tickets.py"): "whatever went wrong is the waiting coroutine's to hear",
    ("broad_except", "src/walnut/testing/sim/machine.py"): "the error of a simulated process is kept for who asks",
    ("broad_except", "src/walnut/log/file_log.py"): "an error of one batch goes to its caller, the group goes on",
}

Finding = tuple[int, str]
"""A line number and what is wrong there."""


@dataclass(frozen=True)
class Source:
    """A text file: where it lies, relative to the root, and what it says."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def is_package(self) -> bool:
        return self.path.startswith("src/walnut/") and self.path.endswith(".py")

    @property
    def is_core(self) -> bool:
        return self.is_package and self.path.split("/")[2] not in OUTSIDE_CORE


Rule = Callable[[Source], Iterator[Finding]]


@cache
def sources() -> tuple[Source, ...]:
    """All text files that are or could be committed (ignored files are not)."""
    return tuple(source for name in _names() if (source := _read(name)))


def _names() -> list[str]:
    if not (ROOT / ".git").exists():  # an unpacked archive: everything that is not hidden or built
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        return sorted(str(p) for p in paths if not any(part[0] in "._" for part in p.parts[:-1]))
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted({name for name in listed.split("\0") if name})


def _read(name: str) -> Source | None:
    path = ROOT / name
    if not path.is_file():  # deleted but still in the index, or a link to a folder
        return None
    content = path.read_bytes()
    if b"\0" in content:
        return None
    try:
        return Source(name, content.decode())
    except UnicodeDecodeError:
        return None


def assert_kept(rule: Rule) -> None:
    """Apply a rule to every file and fail with each finding as `path:line: what is wrong`."""
    name = rule.__name__
    findings = []
    for source in sources():
        found = list(rule(source))
        exempt = (name, source.path) in EXEMPT
        if exempt and not found:
            findings.append(f"{source.path}:1: does not break {name} any more, take it out of EXEMPT")
        elif not exempt:
            findings += [f"{source.path}:{line}: {message}" for line, message in found]
    assert not findings, "\n" + "\n".join(findings)
