"""House rules about text: each rule, then its own test on a tiny text; the last test applies them all."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.tidy.tree import ROOT, Finding, Rule, Source, assert_kept


def lines(rule: Rule, source: Source) -> list[int]:
    return [line for line, _ in rule(source)]


# --- words that tell of one machine ---------------------------------------------------------------

# Put together from parts, so that this file does not contain what it bans.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("rubygems", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
]
MACHINE_FOLDERS = ["work", "root", "opt/" + "pypi", "opt/" + "wheels"]

BANNED: list[tuple[re.Pattern[str], str]] = [
    (
        re.compile(r"\b(?:" + "|".join(map(re.escape, HOSTS)) + r")\b"),
        "host of a package registry: name the package alone",
    ),
    (
        re.compile(r"(?<![\w.~}\])/-])/(?:" + "|".join(MACHINE_FOLDERS) + r")(?![\w-])"),
        "path of one machine: use a relative path or a temporary folder",
    ),
    (
        re.compile(r"(?i)\b(?:issues?|bugs?|prs?|fix(?:es|ed)?|close[sd]?|resolve[sd]?|refs?)\s+[#!]\d+\b"),
        "number of an issue: say what it was about",
    ),
]


def machine_words(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, 1):
        for pattern, message in BANNED:
            if match := pattern.search(line):
                yield number, f"{match[0]}: {message}"


def test_machine_words() -> None:
    def found(text: str) -> list[int]:
        return lines(machine_words, Source("docs/x.md", text))

    assert found("ok\nhttps://" + HOSTS[0] + "/simple") == [2]
    assert found("files." + HOSTS[1]) == [1]
    assert found("cd /" + MACHINE_FOLDERS[0] + "/main") == [1]
    assert found("'/" + MACHINE_FOLDERS[1] + "'") == [1]
    assert found("Fixes" + " #12") == [1]
    assert found("docs/work/x ./root/y ~/work $(VENV)/root /workspace /rooted work/root") == []
    assert found("PyPI, npm and Debian; colour #123456; see issue list") == []


# --- links ----------------------------------------------------------------------------------------

INLINE_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
LINK_DEFINITION = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)


def relative_links(source: Source) -> Iterator[Finding]:
    if not source.path.endswith(".md"):
        return
    for number, line in _prose(source):
        for target in INLINE_LINK.findall(line) + LINK_DEFINITION.findall(line):
            if not ELSEWHERE.match(target) and (problem := _unresolved(source, target)):
                yield number, f"{target}: {problem}"


def _prose(source: Source) -> Iterator[tuple[int, str]]:
    """The lines outside code blocks, without `code`."""
    fence = ""
    for number, line in enumerate(source.lines, 1):
        opening = re.match(r"\s*(```+|~~~+)", line)
        if opening and not fence:
            fence = opening[1]
        elif opening and line.strip().startswith(fence):
            fence = ""
        elif not fence:
            yield number, re.sub(r"`[^`]*`", "", line)


def _unresolved(source: Source, target: str) -> str | None:
    name, _, anchor = target.partition("#")
    path = ROOT / PurePosixPath(source.path).parent / name if name else None
    if path is not None and not path.exists():
        return "no such file"
    if path is not None and (path.is_dir() or path.suffix != ".md"):
        return None
    text = source.text if path is None else path.read_text(encoding="utf-8")
    if anchor and anchor not in _anchors(text):
        return "no such heading"
    return None


def _anchors(text: str) -> set[str]:
    anchors = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for line in text.splitlines():
        if heading := HEADING.match(line):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
            anchors.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return anchors


def test_relative_links() -> None:
    def found(text: str) -> list[int]:
        return lines(relative_links, Source("docs/adr/x.md", text))

    assert found("[a](../../LICENSE) [b](https://example.org/x) [c](mailto:x@example.org)") == []
    assert found("\n[a](../missing.md)") == [2]
    assert found("[a]: ../missing.md") == [1]
    assert found("```\n[a](missing.md)\n```\n`[a](missing.md)`") == []
    assert found("# A `b` c\n[a](#a-b-c) [b](#d)") == [2]


# --- both, on the real files ----------------------------------------------------------------------

RULES: list[Rule] = [machine_words, relative_links]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_text_keeps(rule: Rule) -> None:
    assert_kept(rule)
