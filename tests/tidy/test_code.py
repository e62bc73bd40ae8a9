"""House rules about code: each rule, then its own test on a tiny text; the last test applies them all."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.tidy.tree import Finding, Rule, Source, assert_kept

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60


def core(text: str, *, path: str = "src/walnut/log/frame.py") -> Source:
    return Source(path, text)


def lines(rule: Rule, source: Source) -> list[int]:
    return [line for line, _ in rule(source)]


# --- size -----------------------------------------------------------------------------------------


def module_size(source: Source) -> Iterator[Finding]:
    if source.is_package and len(source.lines) > MAX_MODULE_LINES:
        yield (
            len(source.lines),
            f"{len(source.lines)} lines (limit {MAX_MODULE_LINES}): give each noun its own file",
        )


def test_module_size() -> None:
    assert lines(module_size, core("x = 1\n" * 400)) == []
    assert lines(module_size, core("x = 1\n" * 401)) == [401]


def function_size(source: Source) -> Iterator[Finding]:
    """Lines from `def` to the end; the docstring is for the reader and does not count."""
    if not source.is_package:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = _span(node)
            if ast.get_docstring(node) is not None:
                count -= _span(node.body[0])
            if count > MAX_FUNCTION_LINES:
                yield (
                    node.lineno,
                    f"{node.name} has {count} lines (limit {MAX_FUNCTION_LINES}): split it by idea",
                )


def _span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_function_size() -> None:
    assert lines(function_size, core("def f():\n" + "    x = 1\n" * 59)) == []
    assert lines(function_size, core("\ndef f():\n" + "    x = 1\n" * 60)) == [2]
    assert lines(function_size, core('def f():\n    """A.\n' + "\n" * 70 + '    """\n    x = 1\n')) == []


# --- words ----------------------------------------------------------------------------------------


def module_docstring(source: Source) -> Iterator[Finding]:
    if not source.is_package:
        return
    first_paragraph = (ast.get_docstring(source.tree) or "").split("\n\n")[0]
    if not first_paragraph:
        yield 1, "no docstring: say in one sentence what this module is for"
    elif not first_paragraph.endswith("."):
        yield 1, "the docstring starts with a sentence: it ends with a full stop before the first blank line"


def test_module_docstring() -> None:
    assert lines(module_docstring, core('"""One sentence."""')) == []
    assert lines(module_docstring, core('"""One sentence\nover two lines.\n\nMore:\n- x\n"""')) == []
    assert lines(module_docstring, core('"""No full stop"""')) == [1]
    assert lines(module_docstring, core('"""A title\n\nA sentence."""')) == [1]
    assert lines(module_docstring, core("x = 1")) == [1]


EMPTY_WORDS = {"Manager", "Helper", "Helpers", "Util", "Utils", "Handler", "Base"}


def empty_names(source: Source) -> Iterator[Finding]:
    if not source.is_package:
        return
    stem = source.path.rsplit("/", 1)[-1].removesuffix(".py")
    if EMPTY_WORDS & {word.capitalize() for word in stem.split("_")}:
        yield 1, f"module {stem}: name what it owns or does"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            for word in sorted(EMPTY_WORDS & set(re.findall(r"[A-Z][a-z]*", node.name))):
                yield node.lineno, f"class {node.name}: instead of {word}, name what it owns or does"


def test_empty_names() -> None:
    assert lines(empty_names, core("class Database: ...\nclass Segment: ...")) == []
    assert lines(empty_names, core("class A: ...\nclass SegmentManager: ...\nclass BaseLog: ...")) == [2, 3]
    assert lines(empty_names, core("", path="src/walnut/log/file_utils.py")) == [1]


# --- what the core leaves to System ---------------------------------------------------------------

# Module -> the names that may be used all the same: types, and functions that ask the system nothing.
SYSTEM_MODULES: dict[str, set[str]] = {
    "concurrent.futures": set(),
    "fcntl": set(),
    "mmap": set(),
    "multiprocessing": set(),
    "os": {"PathLike", "fsdecode", "fsencode", "fspath"},
    "queue": set(),
    "random": set(),
    "resource": set(),
    "secrets": set(),
    "select": set(),
    "shutil": set(),
    "signal": set(),
    "socket": set(),
    "subprocess": set(),
    "tempfile": set(),
    "threading": set(),
    "time": set(),
    "uuid": {"UUID"},
}
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
PATH_CALLS = {"read_bytes", "read_text", "write_bytes", "write_text"}


def system_only(source: Source) -> Iterator[Finding]:
    if source.is_core:
        runtime = _without_type_checking(source.tree)
        bound, names = _system_names(runtime)
        yield from names
        own_open = any(isinstance(n, ast.FunctionDef) and n.name == "open" for n in source.tree.body)
        for node in runtime:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = bound.get(node.value.id)
                if module and node.attr not in SYSTEM_MODULES[module]:
                    yield node.lineno, f"{module}.{node.attr}: use System"
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in {"io.open", *(() if own_open else ("open",))}:
                    yield node.lineno, f"{called}(): use System to open files"
                elif ".".join(called.split(".")[-2:]) in CLOCKS:
                    yield node.lineno, f"{called}(): use the clock of System"
                elif isinstance(node.func, ast.Attribute) and node.func.attr in PATH_CALLS:
                    yield node.lineno, f"{called}(): use System to read and write files"


def _without_type_checking(tree: ast.Module) -> list[ast.AST]:
    """All nodes but those that only a type checker sees."""
    nodes: list[ast.AST] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
    return nodes


def _system_names(nodes: list[ast.AST]) -> tuple[dict[str, str], list[Finding]]:
    """Names bound to modules of the system, and what is taken out of them by `from … import`."""
    bound: dict[str, str] = {}
    found: list[Finding] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in SYSTEM_MODULES:
                    bound[alias.asname or alias.name] = alias.name
                elif alias.name.split(".")[0] in SYSTEM_MODULES:
                    found.append((node.lineno, f"{alias.name}: use System"))
        elif isinstance(node, ast.ImportFrom) and node.module in SYSTEM_MODULES:
            module = node.module
            found += [
                (node.lineno, f"{module}.{alias.name}: use System")
                for alias in node.names
                if alias.name not in SYSTEM_MODULES[module]
            ]
    return bound, found


def test_system_only() -> None:
    assert lines(system_only, core("import os\ndef f(p: os.PathLike[str]) -> None: ...")) == []
    assert lines(system_only, core("import os\nos.fsync(3)")) == [2]
    assert lines(system_only, core("import time as t\nt.monotonic()")) == [2]
    assert lines(system_only, core("from threading import Lock")) == [1]
    assert lines(system_only, core("from os import PathLike")) == []
    assert lines(system_only, core("open('x')")) == [1]
    assert lines(system_only, core("def open(url): ...\nopen('x')")) == []
    assert lines(system_only, core("from datetime import datetime\ndatetime.now(tz=utc)")) == [2]
    assert lines(system_only, core("system.open('x')\nevent.random()")) == []
    assert lines(system_only, core("path.read_text()")) == [1]
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from threading import Thread\n"
    assert lines(system_only, core(typed)) == []
    assert lines(system_only, core("import os\nos.fsync(3)", path="src/walnut/cli/demo.py")) == []
    assert lines(system_only, core("import os\nos.fsync(3)", path="src/walnut/system.py")) == []


# --- errors and output ----------------------------------------------------------------------------


def broad_except(source: Source) -> Iterator[Finding]:
    if not source.is_package:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _raises(node.body):
            yield node.lineno, "broad except: name the errors you can mend, or end with `raise`"


def _is_broad(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_broad(each) for each in kind.elts)
    return kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})


def _raises(body: list[ast.stmt]) -> bool:
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return False


def test_broad_except() -> None:
    assert lines(broad_except, core("try: f()\nexcept OSError: pass")) == []
    assert lines(broad_except, core("try: f()\nexcept Exception: pass")) == [2]
    assert lines(broad_except, core("try: f()\nexcept (OSError, BaseException): pass")) == [2]
    assert lines(broad_except, core("try: f()\nexcept: pass")) == [2]
    assert lines(broad_except, core("try: f()\nexcept BaseException:\n    g()\n    raise")) == []
    assert lines(broad_except, core("try: f()\nexcept Exception:\n    def g(): raise\n")) == [2]


def printing(source: Source) -> Iterator[Finding]:
    if not source.is_package or source.path.startswith("src/walnut/cli"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "print(): return the value; only cli/ prints"


def test_printing() -> None:
    assert lines(printing, core("x = 1\nprint(x)")) == [2]
    assert lines(printing, core("print(1)", path="src/walnut/cli/verify.py")) == []
    assert lines(printing, core("printer(1)")) == []


# --- SQL ------------------------------------------------------------------------------------------


def numbered_placeholders(source: Source) -> Iterator[Finding]:
    if not source.is_package:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"[\s(,]\?\d", node.value):
            yield node.lineno, "?1 with a sequence: Python 3.12 warns and 3.14 refuses; write ? or :name"


def test_numbered_placeholders() -> None:
    assert lines(numbered_placeholders, core("x = 'WHERE a = ? AND b = :b'")) == []
    assert lines(numbered_placeholders, core("x = 1\ny = 'WHERE a = ?1'")) == [2]


# --- all of them, on the real files ---------------------------------------------------------------

RULES: list[Rule] = [
    module_size,
    function_size,
    module_docstring,
    empty_names,
    broad_except,
    printing,
    numbered_placeholders,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps(rule: Rule) -> None:
    assert_kept(rule)


def test_L15_only_system_touches_the_machine() -> None:
    assert_kept(system_only)
