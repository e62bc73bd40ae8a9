"""The tour: what a terminal shows in a minute with Walnut. `python -m tests.docs.tour` writes it anew."""

import re
import tempfile
from pathlib import Path

from tests.docs.walnut_shell import shell

TOUR = Path(__file__).parents[2] / "docs/snippets/tour.txt"

COMMANDS = [
    "export WALNUT_STORE=./memory WALNUT_SCOPE=customer:acme",
    'walnut remember "Prefers CSV exports; PDF invoices cause delays" --key export --tag billing',
    'walnut remember "Send the March invoice as CSV" --key march --caused-by 1',
    "walnut recall which export format -k 1",
    "walnut why --key march",
    'walnut remember "Wants PDF for everything" --key export --source conversation_id=c66',
    "walnut get --key export --text",
    "walnut get --key export --text --as-of lsn:2    # what it knew before",
    "walnut revert --source conversation_id=c66 --yes",
    "walnut get --key export --text",
    "walnut verify --views",
]

_IDS = re.compile(r"\b(evt|mem)_[0-9A-HJKMNP-TV-Z]{26}\b")
_TIMES = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\dZ")


def play() -> str:
    """Run the commands in a fresh folder; ids and times are made the same for every run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        setting, *commands = COMMANDS
        told = [f"$ {setting}"]
        for command in commands:
            done = shell(f"{setting}\n{command}", folder)
            if done.returncode or done.stderr:
                raise RuntimeError(f"{command}: {done.returncode} {done.stderr}")
            told += [f"$ {command}", done.stdout.rstrip("\n")]
    return _normal("\n".join(told) + "\n")


def _normal(text: str) -> str:
    seen: dict[str, str] = {}
    for found in _IDS.finditer(text):
        kind = found[1]
        number = 1 + sum(each.startswith(kind) for each in seen.values())
        seen.setdefault(found[0], f"{kind}_01KA{number:0>4}…")
    for real, normal in seen.items():
        text = text.replace(real, normal)
    return _TIMES.sub("2026-02-01 12:00Z", text)


if __name__ == "__main__":
    TOUR.write_text(play(), encoding="utf-8")
