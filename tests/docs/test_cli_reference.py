"""The reference of the command line is the program's own help, complete, and its examples run as they are printed."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.walnut_shell import shell
from walnut.cli import exits, main, reference
from walnut.cli.app import make_parser, overview
from walnut.cli.registry import VERBS

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"
SEED = """
walnut remember "Prefers CSV exports; PDF invoices cause delays" --tag preference
walnut remember "The invoice goes out as CSV" --key invoice-format --source conversation_id=c1
walnut remember "She lives in Berlin" --key city --valid-from 2020-01-01
walnut remember "She lives in Paris" --key city --valid-from 2026-02-01 --source message_id=city
walnut remember "She lives in Paris" --key city --scope user:alice
"""


def test_the_page_is_what_the_program_says() -> None:
    mend = "run: python -m walnut.cli.reference docs/reference/cli.md"
    assert PAGE.read_text(encoding="utf-8") == reference.page(), mend


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_documented(name: str) -> None:
    verb = make_parser(name).verb
    page = make_parser(name).format_help()
    assert verb.name == name
    assert verb.examples
    assert all(example in page for example in verb.examples)
    assert all(len(line) <= 120 for line in page.splitlines())
    assert f"  {name} " in overview()
    assert "--json" in page
    for action in make_parser(name)._actions:
        assert action.help, f"{name}: {action.dest} has no help"


@pytest.mark.parametrize("name", VERBS)
def test_help_is_the_same_by_all_ways(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = make_parser(name).format_help()
    for words in ([name, "--help"], [name, "-h"], ["help", name], ["--store", "x", name, "--help"]):
        assert main(words) == 0
        assert capsys.readouterr() == (page, "")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small store, and files to import."""
    folder = tmp_path_factory.mktemp("world")
    assert shell(f"set -e\n{SEED}", folder).returncode == 0
    (folder / "here/MEMORY.md").write_text("# Style\n- Use ruff\n")
    (folder / "here/chat.jsonl").write_text('{"role":"user","content":"Hello"}\n')
    (folder / "here/questions.jsonl").write_text('{"question":"Where does she live?","gold":["city"]}\n')
    shutil.copytree(PAGE.parents[2] / "examples", folder / "here/examples")
    (folder / "here/notes.jsonl").write_text('{"text":"a note"}\n')
    return folder


@pytest.mark.parametrize("name", VERBS)
def test_the_examples_run(name: str, world: Path, tmp_path: Path) -> None:
    if name == "mcp" and find_spec("mcp") is None:
        pytest.skip("the extra `mcp` is not installed")
    shutil.copytree(world / "here", tmp_path / "here")
    for example in make_parser(name).verb.examples:
        done = shell(example, tmp_path)
        assert done.returncode == 0, f"{example}\n{done.stdout}{done.stderr}"
        assert "walnut: " not in done.stderr
        assert "Traceback" not in done.stderr
        if "--json" in example and "|" not in example:
            assert [json.loads(line) for line in done.stdout.splitlines()]


def test_every_exit_code_has_its_row() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert codes == set(exits.MEANING)
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| {code} | {meaning} |" in text for code, meaning in exits.MEANING.items())
