"""`python -m bench.planned`: what the planner of recall is worth, on made-up talks and questions about times.

The same things happen again and again (a dentist, a film, an invoice), so words alone don't tell which is meant; what
happened is told up to four days later; a fifth of the questions hold words that only look like a time.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import msgspec

import walnut
from walnut.cli.evaluate import Answer, Row, ask, named_by, rows
from walnut.cli.questions import Conversation, Question, fill
from walnut.recall.plan import SETTINGS, Settings
from walnut.recall.search import search

_OFF: dict[str, dict[str, float]] = {
    "the planner": {"time": 0.0, "exact": 0.0, "order": 0.0, "when": 0.0},
    "time": {"time": 0.0},
    "exact": {"exact": 0.0},
    "order": {"order": 0.0},
    "when": {"when": 0.0},
}

#: What happens: what is told of it, its details, and how one asks for them.
_HAPPENS = (
    (
        "I was at the dentist{when}, {}.",
        "What did the dentist do{at}?",
        "When did the dentist do {}?",
        ("a filling came out and was replaced", "they took an X-ray of the jaw", "a crown was fitted", "just a polish"),
    ),
    (
        "We watched a film{when}, it was {}.",
        "Which film was watched{at}?",
        "When was the film {} on?",
        ("The Salt Road", "Nine Lanterns", "A Quiet Orchard", "Glass Harbour", "The Other Pilot"),
    ),
    (
        "Ate out{when}, at the {}.",
        "Which restaurant was it{at}?",
        "When was the meal at the {}?",
        ("Blue Heron grill", "noodle bar by the canal", "Georgian place", "old tram depot", "rooftop pizzeria"),
    ),
    (
        "Ran with the club{when}, {}.",
        "How did the run with the club go{at}?",
        "When did the run go with {}?",
        ("ten kilometres in rain", "a new best on the hill loop", "a pulled calf", "a wrong turn in the woods"),
    ),
    (
        "The car was at the garage{when}: {}.",
        "What did the garage do to the car{at}?",
        "When did the garage do {}?",
        ("new brake pads", "the clutch", "an oil leak fixed", "two tyres swapped", "the wiper motor"),
    ),
    (
        "Had a call with the bank{when} about {}.",
        "What was the call with the bank about{at}?",
        "When was the call with the bank about {}?",
        ("the overdraft", "a stolen card", "the mortgage rate", "a blocked transfer", "a savings account"),
    ),
    (
        "Grandma visited{when} and brought {}.",
        "What did Grandma bring{at}?",
        "When did Grandma bring {}?",
        ("plum jam", "a knitted blanket", "old photographs", "a box of tiles", "her chess set"),
    ),
    (
        "Book club met{when}, we talked about {}.",
        "Which book did the club talk about{at}?",
        "When did the book club talk about {}?",
        ("Winter Ferry", "The Clockmaker's Debt", "Thirst and Thunder", "Paper Mountains", "Small Gods of Rain"),
    ),
)
_SPEAKERS = (*(("Ilse", "Bram"), ("user", "assistant")) * 2, ("Wanda", "Piotr"), ("user", "assistant"))
_ISSUES = (
    "was paid twice",
    "is still open",
    "has the wrong address",
    "went to the lawyer",
    "was cancelled",
    "is a copy",
)
_CHANGES = (
    ("My rent is {} now.", "What is the {} rent?", ("640", "710", "755", "820")),
    (
        "I changed jobs, I'm with the {}.",
        "Which employer is the {} one?",
        ("port office", "zoo", "tax bureau", "opera"),
    ),
    (
        "The team moved to {} for our notes.",
        "Which tool for notes is the {} one?",
        ("Quire", "Slate", "Tidepool", "Vellum"),
    ),
)
_FILLER = (
    "How are things?",
    "Busy as ever.",
    "The weather turned again.",
    "I slept badly.",
    "Coffee helped.",
    "Same here.",
    "We should meet soon.",
    "The neighbours were loud.",
    "I may be late next time.",
    "The kids march around all day.",
    "That's good to hear.",
    "Spring cleaning never ends.",
    "Give me a second.",
    "The sun came out at last.",
)
_TRAPS = (
    ("I may sell the piano in the hall", "may I ask, which instrument may be sold?"),
    ("The march for the hospital drew four hundred people", "how many people were on the march for the hospital?"),
    ("My second cousin Odile keeps bees in the spring box", "what does the second cousin keep in the spring box?"),
    ("The sun room leaks at the north window", "where does the sun room leak?"),
    ("April from accounts knows the alarm code", "what does April from accounts know?"),
    ("Before the wedding the caterer lost 2000 forks", "what did the caterer lose before the wedding?"),
    ("The last straw was the fall of the garden wall", "what was the last straw?"),
    ("August Meyer taught me how to weld in a barn", "what did August Meyer teach?"),
)


def made(seed: int, *, talks: int = 6) -> tuple[list[Conversation], list[tuple[Question, str]]]:
    """Conversations, and questions with the moment each is put."""
    draw = random.Random(seed)
    conversations, questions = list[Conversation](), list[tuple[Question, str]]()
    for number, speakers in enumerate(_SPEAKERS[:talks]):
        talk = _Talk(f"talk{number}", speakers, draw)
        conversations.append(msgspec.convert(talk.conversation(), Conversation))
        questions += [(each, talk.asked.isoformat()) for each in talk.questions]
    return conversations, questions


class _Talk:
    """One conversation over a year and a half, and what is asked about it at its end."""

    def __init__(self, name: str, speakers: tuple[str, str], draw: random.Random) -> None:
        self.name, self.speakers, self.draw = name, speakers, draw
        self.questions: list[Question] = []
        self._day = datetime(2024, 1, 8, 9, tzinfo=UTC) + timedelta(days=draw.randrange(20))
        self._end = self._day + timedelta(days=540)
        self.asked = self._end + timedelta(days=3)
        self._happened: list[tuple[int, str, datetime, str]] = []
        self._sessions: list[dict[str, Any]] = []

    def conversation(self) -> dict[str, Any]:
        planned = [
            *((self._issue, n) for n in range(12)),
            *((self._change, n) for n in range(12)),
            *((self._trap, n) for n in range(8)),
        ]
        self.draw.shuffle(planned)
        planned.sort(key=lambda each: each[1] if each[0] == self._change else self.draw.random() * 12)
        sessions = 80
        for number in range(sessions):
            self._sessions.append({"id": f"s{number}", "turns": []})
            self._fill()
            for kind in self.draw.sample(range(len(_HAPPENS)), 2):
                self._happen(kind)
                self._fill()
            for make, which in planned[number * len(planned) // sessions : (number + 1) * len(planned) // sessions]:
                make(which)
                self._fill()
            self._day += timedelta(days=self.draw.randrange(3, 11))
        self.asked = self._day
        self._ask_times()
        return {"id": self.name, "sessions": self._sessions}

    def _say(self, text: str, *, speaker: int | None = None) -> str:
        turns = self._sessions[-1]["turns"]
        turn = f"{self.name}/{self._sessions[-1]['id']}t{len(turns)}"
        who = self.speakers[len(turns) % 2 if speaker is None else speaker]
        time = self._day + timedelta(minutes=len(turns))
        turns.append({"id": turn, "speaker": who, "time": time.strftime("%Y-%m-%dT%H:%M:%S"), "text": text})
        return turn

    def _fill(self) -> None:
        for text in self.draw.sample(_FILLER, self.draw.randrange(1, 3)):
            self._say(text)

    def _happen(self, kind: int) -> None:
        back = self.draw.randrange(5)
        day = self._day - timedelta(days=back)
        told = self.draw.choice(("", {0: " today", 1: " yesterday"}.get(back, f" on {day:%A}")))
        detail = self.draw.choice(_HAPPENS[kind][3])
        self._happened.append((kind, detail, day, self._say(_HAPPENS[kind][0].format(detail, when=told), speaker=0)))

    def _issue(self, number: int) -> None:
        names = [
            f"INV-{1200 + number}",
            f"INV-{number + 12}00",
            f"order 12{number:02}",
            f"mail{number}@inv.example",
            f"build 2.{number}.12",
        ]
        for name in self.draw.sample(names, 3):
            gold = self._say(f"About {name}: it {self.draw.choice(_ISSUES)}.", speaker=0)
            self._ask("exact", f"what about {name}?" if " " not in name else f'what about "{name}"?', gold)

    def _change(self, number: int) -> None:
        said, question, values = _CHANGES[number % 3]
        gold = self._say(said.format(values[number // 3]), speaker=0)
        if number // 3 == 0:
            self._ask("first", "originally: " + question.format("earliest"), gold)
        if number // 3 == len(values) - 1:
            self._ask("latest", question.format("latest"), gold)
        if number // 3 == len(values) - 1:
            self._ask("current", question.format("current"), gold)

    def _trap(self, number: int) -> None:
        self._ask("trap", _TRAPS[number][1], self._say(_TRAPS[number][0] + ".", speaker=0))

    def _ask(self, category: str, question: str, *gold: str) -> None:
        self.questions.append(Question(question, gold, category, conversation=self.name))

    def _ask_times(self) -> None:
        for kind, detail, day, _ in self.draw.sample(self._happened, 60):
            same = [each for each in self._happened if each[0] == kind]
            category, at, within = self._at(day)
            gold = [each[3] for each in same if within[0] <= each[2].date() < within[1]]
            if len(gold) <= 3:
                self._ask(category, _HAPPENS[kind][1].format(at=at), *gold)
            twins = [each[3] for each in same if each[1] == detail]
            if len(twins) <= 3:
                self._ask("when", _HAPPENS[kind][2].format(detail), *twins)

    def _at(self, day: datetime) -> tuple[str, str, tuple[Any, Any]]:
        """A category, words that name a time around the day, and its ends."""
        date, now = day.date(), self.asked.date()
        month = date.replace(day=1)
        after = (month + timedelta(days=32)).replace(day=1)
        monday = date - timedelta(days=date.weekday())
        far = (now - date).days
        if far <= 13 and (now - timedelta(days=now.weekday())) - monday == timedelta(days=7):
            return "relative", " last week", (monday, monday + timedelta(days=7))
        if far <= 20:
            return "relative", f" {far} days ago", (date, date + timedelta(days=1))
        if far <= 90:
            return "relative", f" {far // 7} weeks ago", (date - timedelta(days=4), date + timedelta(days=4))
        choice = self.draw.randrange(4)
        if choice == 0:
            return "day", f" on {date.day} {date:%B %Y}", (date, date + timedelta(days=1))
        if choice == 1:
            return "day", f" on {date}", (date, date + timedelta(days=1))
        if choice == 2 and far < 300:
            return "month", f" in {date:%B}", (month, after)
        return "month", f" in {date:%B %Y}", (month, after)


def answers(
    root: walnut.Memory, asked: Sequence[tuple[Question, str]], scopes: Mapping[str, str], settings: Settings
) -> list[Answer]:
    """Each question as asked at its moment."""
    found, names = list[Answer](), named_by("source.turn")
    with patch.dict(search.__kwdefaults__ or {}, settings=settings):
        for question, moment in asked:
            then = root.bind(scope=scopes[question.conversation or ""]).as_of(valid_time=moment)
            found.append(ask(question, lambda query, then=then: then.recall(query, k=10), names))  # type: ignore[misc]
    return found


def measured(seed: int, *, talks: int = 6, levers: Sequence[str] = tuple(_OFF)) -> Iterator[tuple[str, list[Row]]]:
    """What is found with all on, and with each part of the planner off: a row a category, the last of all."""
    conversations, asked = made(seed, talks=talks)
    with tempfile.TemporaryDirectory() as folder, walnut.open(folder, scope="global") as root:
        scopes = fill(root, conversations)
        for name in ("", *levers):
            settings = msgspec.structs.replace(SETTINGS, **_OFF.get(name, {}))
            yield name, rows(answers(root, asked, scopes, settings))


def main(words: Sequence[str] | None = None) -> int:
    """Print the table, in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.planned", description="Measure the planner of recall.")
    parser.add_argument("--seed", type=int, default=7, help="of the made-up talks (7)")
    for name, found in measured(parser.parse_args(words).seed):
        if not name:
            print(" | ".join(("| R@10 / MRR", *(f"{row.category} ({row.questions})" for row in found))), "|")
            print("| --- " * (len(found) + 1) + "|")
        cells = (f"{100 * row.recall[10]:.1f} / {row.mrr:.3f}" for row in found)
        print(" | ".join((f"| without {name}" if name else "| all on", *cells)), "|", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
