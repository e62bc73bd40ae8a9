"""The docs: every snippet runs, every example is the file that ran, every error and method has its place."""

import doctest
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

import walnut
from walnut import aio, errors
from walnut.engine.verbs import EventLog, Upkeep
from walnut.memory import Memory
from walnut.memory_at import MemoryAt

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SNIPPETS = DOCS / "snippets"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *(page for page in sorted(DOCS.rglob("*.md")) if "adr" not in page.parts)]
LIMIT = 100

NEEDS_MCP = {"mcp_client.py"}


def run(program: str | Path, folder: Path) -> str:
    """Run a program in a fresh folder, with warnings as errors; its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        cwd=folder,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("WALNUT_")}, "HOME": str(folder)},
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- snippets and examples ------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in SNIPPETS.glob("*.py")))
def test_a_snippet_runs_and_holds(name: str, tmp_path: Path) -> None:
    if name in NEEDS_MCP:
        pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    text = (SNIPPETS / name).read_text(encoding="utf-8")
    assert "assert " in text, "a snippet asserts what its page claims"
    run(SNIPPETS / name, tmp_path)


SOURCES = [path for path in sorted((ROOT / "src").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_example_in_a_docstring_runs(path: Path) -> None:
    module = import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__"))
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("kind", [MemoryAt, Memory])
def test_every_method_shows_an_example(kind: type) -> None:
    plain = {"wait", "close"}
    methods = {name: each for name, each in vars(kind).items() if inspect.isfunction(each) and name[0] != "_"}
    assert [name for name, each in methods.items() if ">>> " not in (each.__doc__ or "") and name not in plain] == []


def blocks(text: str, language: str) -> Iterator[tuple[str, str]]:
    """Each block of a language, with the line above it."""
    for match in re.finditer(rf"^([^\n]*)\n```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_is_a_file_that_runs(page: Path) -> None:
    for above, block in blocks(page.read_text(encoding="utf-8"), "python"):
        if page.name == "README.md" and above == "<!-- example -->":
            continue  # run as it stands, below
        named = re.fullmatch(r"<!-- snippet: (\w+\.py) -->", above)
        assert named, f"a block without `<!-- snippet: name.py -->` above it: {block.splitlines()[0]}"
        assert block == (SNIPPETS / named[1]).read_text(encoding="utf-8"), f"copy {named[1]} into the page"


def test_every_snippet_is_shown_on_a_page() -> None:
    shown = {name for page in PAGES for name in re.findall(r"snippet: (\w+\.py)", page.read_text(encoding="utf-8"))}
    assert shown == {path.name for path in SNIPPETS.glob("*.py")}


def test_the_example_in_the_readme_runs_as_printed(tmp_path: Path) -> None:
    (example,) = (block for above, block in blocks(README, "python") if above == "<!-- example -->")
    program = tmp_path / "example.py"
    program.write_text(example, encoding="utf-8")
    printed = run(program, tmp_path)
    assert printed.count("Prefers CSV exports; PDF invoices cause delays") == 4  # hit, context, why, plan
    assert "disk False" in printed
    assert "1 event, 1 memory" in printed
    with walnut.open(tmp_path / "memory", scope="customer:acme", create=False) as m:
        assert m.list().items == ()
        assert [event.kind for event in m.log.read()] == ["memory.write", "memory.recalled", "memory.reverted"]


def test_the_tour_in_the_readme_is_the_recorded_one() -> None:
    tour = SNIPPETS / "tour.txt"
    between = re.search(r"<!-- tour -->\n(.*?)<!-- /tour -->", README, re.DOTALL)
    assert between is not None
    assert between[1] == f"```console\n{tour.read_text(encoding='utf-8').rstrip()}\n```\n"


def test_the_figures_in_the_readme_are_those_of_the_pages_it_names() -> None:
    told = {
        name: re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL) for name in ("bench", "found")
    }
    bench, found = ((told[name] or [""])[0] for name in ("bench", "found"))
    writers = (DOCS / "why/benchmarks.md").read_text(encoding="utf-8").partition("| writers |")[2]
    named = {"Walnut": (1, 64), "Walnut (asyncio)": (64,), "SQLite": (1, 64), "PostgreSQL": (1, 64)}
    for store, ones in {**named, "PostgreSQL (pgbench, in C)": (64,)}.items():
        row = re.search(rf"^\| {re.escape(store)} \| (.*) \|$", writers, re.MULTILINE)
        assert row is not None
        rates = dict(zip((1, 2, 4, 8, 16, 32, 64, 128, 256), row[1].split(" | "), strict=True))
        for count in ones:
            thousands = round(int(rates[count].replace(",", "")), -3)
            assert f"{thousands:,}" in bench, f"{store}, {count} writers: {rates[count]}"
    side = (DOCS / "why/recall.md").read_text(encoding="utf-8").partition("<!-- side: begin -->")[2]
    for store in ("Walnut", "SQLite FTS5", "Chroma", "mem0", "Chroma, encoder", "Walnut, encoder"):
        row = re.search(rf"^\| {store} \| [\d.]+ \| ([\d.]+) \|", side, re.MULTILINE)
        assert row is not None
        assert f"{row[1]} %" in found, store


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/mcp.md"])
def test_the_settings_for_mcp_clients_start_a_server(page: str, tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    text = (ROOT / page).read_text(encoding="utf-8")
    ((_, block),) = blocks(text, "json")
    server = json.loads(block)["mcpServers"]["walnut"]
    assert server["command"].endswith("/bin/walnut")
    (shell,) = (block for _, block in blocks(text, "sh") if block.startswith("claude mcp add walnut -- "))
    typed = shell.removeprefix('claude mcp add walnut -- "$(command -v walnut)" ').split()
    for arguments in (server["args"], typed):
        place = arguments.index("--store") + 1
        assert arguments[place].strip('"').startswith(("/", "$HOME/")), "clients start the server anywhere"
        arguments[place] = str(tmp_path / "store")
        started = [sys.executable, "-m", "walnut", *arguments]
        done = subprocess.run(
            started, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with walnut.open(tmp_path / "store", create=False) as m:
        assert m.log.verify().ok


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_exists_with_its_options(page: Path) -> None:
    from walnut.cli.app import make_parser
    from walnut.cli.registry import VERBS

    text = page.read_text(encoding="utf-8")
    commands = re.findall(r"(?:^|`)walnut ([a-z]+)([^`\n]*)", text, re.MULTILINE)
    for verb, rest in commands:
        assert verb in VERBS, f"walnut {verb}"
        known = make_parser(verb).format_help()
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in known, f"walnut {verb} {option}"


# --- reference pages ------------------------------------------------------------------------------


def test_every_error_has_its_place_and_every_place_its_error() -> None:
    page = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^### (\w+)\n\n`(\w+)`", page, re.MULTILINE))
    codes = {getattr(errors, name).code: name for name in errors.__all__}
    assert said == codes
    for kind in (getattr(errors, name) for name in errors.__all__):
        own = set(inspect.signature(kind).parameters) - set(inspect.signature(errors.WalnutError).parameters)
        section = page.partition(f"### {kind.code}\n")[2].partition("\n#")[0]
        assert all(f"`{attribute}`" in section for attribute in own), kind
        assert len(section.split()) > 10


def called(page: str) -> dict[str, set[str]]:
    """Each `name(arguments)` in the tables: the arguments it is shown with, by name."""
    rows = re.findall(r"^\| `([\w.]+)\((.*?)\)` \|", page, re.MULTILINE)
    found: dict[str, set[str]] = {}
    for name, arguments in rows:
        found.setdefault(name, set()).add(arguments)
    return found


def shown(function: Callable[..., object]) -> str:
    """Its parameters by name, with the star before the keyword-only ones."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    keyword = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return ", ".join([p.name for p in parameters if p.name not in keyword] + (["*", *keyword] if keyword else []))


def methods(kind: type) -> dict[str, Callable[..., object]]:
    return {name: each for name, each in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_every_method_is_shown_with_its_parameters() -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    documented = called(page)
    kinds: tuple[type, ...] = (Memory, MemoryAt, EventLog, Upkeep)
    wanted: dict[str, set[str]] = {
        "walnut.open": {shown(walnut.open)},
        "walnut.aio.open": {shown(aio.open)},
        "walnut.verify": {shown(walnut.verify)},
        "walnut.repair": {shown(walnut.repair)},
    }
    for kind in kinds:
        for name, function in methods(kind).items():
            wanted.setdefault(name, set()).add(shown(function))
    assert documented == wanted
    for kind in kinds:
        for name, _ in inspect.getmembers(kind, lambda each: isinstance(each, property)):
            assert f"`{name}`" in page, name


def test_every_public_name_is_on_a_reference_page() -> None:
    pages = "".join((DOCS / "reference" / name).read_text(encoding="utf-8") for name in ("python.md", "errors.md"))
    missing = [name for name in walnut.__all__ if not re.search(rf"`(?:walnut\.)?{name}\b", pages)]
    assert missing == []
    results = {n for n, kind in vars(walnut).items() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}
    assert results <= set(walnut.__all__)
