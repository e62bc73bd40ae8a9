"""One command from its words to its exit code: find the verb, read its arguments, turn errors into one line."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from walnut.cli import exits
from walnut.cli.exits import Usage
from walnut.cli.options import STORE, WITH_VALUE, add_common
from walnut.cli.registry import VERBS
from walnut.cli.screen import Screen, one_line
from walnut.cli.verb import Parser
from walnut.errors import WalnutError


def run(argv: list[str]) -> int:
    """Run a command; nothing but a fault of Walnut itself leaves as an exception."""
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what the terminal's encoding lacks is written out
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _dispatch(argv)
        sys.stdout.flush()
    except WalnutError as error:
        return _fail(str(error), exits.code_of(error))
    except BrokenPipeError:
        return _no_reader()
    except OSError as error:
        where = f" at {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        return _fail(f"{error.strerror or 'input or output failed'} [os_error{where}]", exits.code_of_os(error))
    except KeyboardInterrupt:
        return _fail("interrupted [interrupted] what was acknowledged is on disk", exits.INTERRUPTED)
    return code


def _open_closed() -> None:
    """Started with a closed stream, Python has none: nothing is read, and what is printed is thrown away."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - open as long as the process
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as above


def _fail(text: str, code: int) -> int:
    with suppress(OSError, ValueError):
        sys.stdout.flush()  # what was printed before it comes first
    with suppress(OSError, ValueError):
        sys.stderr.write(f"walnut: {one_line(text)}\n")
    return code


def _no_reader() -> int:
    """Leave quietly, and keep Python from trying to flush what nobody reads."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return exits.NO_READER


def _dispatch(argv: list[str]) -> int:
    before, verb, after = _split(argv)
    if verb is None:
        return _without_verb(before)
    if verb == "help":
        return _help(after)
    parser = make_parser(verb)
    try:
        args = parser.parse_args([*before, *after])
    except SystemExit as done:  # --help
        return done.code if isinstance(done.code, int) else exits.OK
    args.verb = verb
    return parser.verb.run(args, Screen(json=args.json))


def _split(argv: list[str]) -> tuple[list[str], str | None, list[str]]:
    """Options before the verb, the verb, the rest."""
    position = 0
    while position < len(argv) and argv[position].startswith("-"):
        position += 2 if argv[position] in WITH_VALUE else 1
    if position >= len(argv):
        return argv, None, []
    return argv[:position], argv[position], argv[position + 1 :]


def _without_verb(options: list[str]) -> int:
    if options in (["--version"], ["-V"]):
        import walnut

        print(f"walnut {walnut.__version__}")
    elif not options or set(options) & {"--help", "-h"}:
        print(overview(), end="")
    else:
        raise Usage("no command", where="walnut", hint="`walnut --help` lists them")
    return exits.OK


def _help(words: list[str]) -> int:
    if words:
        print(make_parser(words[0]).format_help(), end="")
    else:
        print(overview(), end="")
    return exits.OK


def make_parser(name: str) -> Parser:
    """The parser of a verb, whose module is imported for it."""
    entry = VERBS.get(name)
    if entry is None:
        near = get_close_matches(name, VERBS, n=1)
        hint = f"did you mean `walnut {near[0]}`?" if near else "`walnut --help` lists them"
        raise Usage("no such command", where="walnut", hint=hint)
    module = import_module(f"walnut.cli.{entry.module}")
    parser = Parser(module.VERBS[name])
    parser.verb.arguments(parser)
    add_common(parser)
    return parser


def overview() -> str:
    """The page of `walnut --help`."""
    lines = ["usage: walnut VERB [OPTIONS]", "", "Durable memory for AI agents, in a folder of your own."]
    group = ""
    for name, entry in VERBS.items():
        if entry.group != group:
            group = entry.group
            lines += ["", f"{group}:"]
        lines.append(f"  {name:<12}{entry.summary}")
    lines += ["", f"All take --store DIR (WALNUT_STORE, else {STORE}), --scope, --actor and --json."]
    lines += ["`walnut VERB --help` shows the rest, with examples; `walnut demo` shows it at work."]
    return "\n".join(lines) + "\n"
