"""The verb that prints completions for a shell, made from the registry: completion."""

from __future__ import annotations

import argparse

from walnut.cli.exits import OK
from walnut.cli.registry import VERBS as REGISTRY
from walnut.cli.screen import Screen
from walnut.cli.verb import Verb

_SHELLS = ("bash", "zsh", "fish")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help="bash, zsh or fish")


def _completion(args: argparse.Namespace, screen: Screen) -> int:
    makers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    screen.line(makers[args.shell]())
    return OK


def _options() -> dict[str, list[str]]:
    """The long options of each verb."""
    from walnut.cli.app import make_parser

    return {
        name: [option for option in make_parser(name)._option_string_actions if option.startswith("--")]  # noqa: SLF001 - argparse offers no other way to its options
        for name in REGISTRY
    }


def _bash() -> str:
    cases = "\n".join(f'    {name}) words="{" ".join(options)}" ;;' for name, options in _options().items())
    return f"""# walnut completion for bash: eval "$(walnut completion bash)"
_walnut() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(REGISTRY)} help" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  case "${{COMP_WORDS[1]}} $word" in
    completion\\ *) COMPREPLY=($(compgen -W "{" ".join(_SHELLS)}" -- "$word")) ;;
    help\\ *) COMPREPLY=($(compgen -W "{" ".join(REGISTRY)}" -- "$word")) ;;
    *\\ -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _walnut walnut"""


def _zsh() -> str:
    verbs = "\n".join(f"    '{name}:{entry.summary}'" for name, entry in REGISTRY.items())
    cases = "\n".join(f"    {name}) compadd -- {' '.join(options)} ;;" for name, options in _options().items())
    return f"""#compdef walnut
# walnut completion for zsh: eval "$(walnut completion zsh)"
_walnut() {{
  local -a verbs
  verbs=(
{verbs}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' verbs
    return
  fi
  case "$words[2]" in
{cases}
  esac
  _files
}}
compdef _walnut walnut"""


def _fish() -> str:
    lines = ["# walnut completion for fish: walnut completion fish | source"]
    for name, entry in REGISTRY.items():
        lines.append(f"complete -c walnut -n __fish_use_subcommand -a {name} -d '{entry.summary}'")
    for name, options in _options().items():
        lines += [f"complete -c walnut -n '__fish_seen_subcommand_from {name}' -l {each[2:]}" for each in options]
    return "\n".join(lines)


VERBS = {
    "completion": Verb(
        "completion",
        """Print a script that completes commands and options. For bash put its line into ~/.bashrc, for zsh into
        ~/.zshrc behind compinit, for fish: walnut completion fish > ~/.config/fish/completions/walnut.fish""",
        ('eval "$(walnut completion bash)"', "walnut completion zsh", "walnut completion fish"),
        _arguments,
        _completion,
    ),
}
