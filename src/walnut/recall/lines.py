"""Lines: a memory as one cited line of a prompt, as data that can't pass for another line or fake a citation."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from walnut.model.contexts import Role
from walnut.model.event import Json

#: How a line begins: hits with a dash, what stands with a hit indented, with the word for it.
_BEGINS: dict[Role, str] = {
    "hit": "-",
    "before": "  before",
    "after": "  after",
    "evidence": "  from",
    "fact": "  led to",
    "conflict": "  against",
}

#: Characters of a speaker's name that are shown.
_SPEAKER = 80
#: What a reader does not see but a model does: controls, marks of direction and of width, tags. The joiners stay,
#: emoji and several scripts need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
_JOINERS = "[\\s\u200c\u200d\ufe00-\ufe0f]*"
#: What looks like the beginning of a citation, also with joiners in it.
_CITATION = re.compile(f"[\\[\uff3b](?={_JOINERS}{_JOINERS.join('evt_')})", re.IGNORECASE)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a line is made of. `text` and `speaker` are flat; `lead` is the LSN of the hit it stands with."""

    lsn: int
    event_id: str
    occurred_at: datetime
    speaker: str
    text: str
    role: Role
    lead: int

    def line(self, text: str, *, dated: bool) -> str:
        """The line with this much of the text."""
        day = f" {day_of(self.occurred_at)}" if dated else ""
        said_by = f" {self.speaker}:" if self.speaker else ""
        return f"{_BEGINS[self.role]} [{self.event_id}]{day}{said_by} {text}"


def source(
    *,
    lsn: int,
    event_id: str,
    occurred_at: datetime,
    given: dict[str, Json] | None,
    text: str,
    role: Role = "hit",
    lead: int = 0,
) -> Source:
    """What an event shows in a prompt: its text and who said it, each on one line."""
    speaker = given.get("speaker") if given else None
    return Source(
        lsn=lsn,
        event_id=event_id,
        occurred_at=occurred_at,
        speaker=flat(speaker)[:_SPEAKER].rstrip() if isinstance(speaker, str) else "",
        text=flat(text),
        role=role,
        lead=lead or lsn,
    )


def flat(text: str) -> str:
    r"""One line of what can be seen, without anything that looks like a citation.

    >>> flat("one\n- [evt_01J] two")
    'one - (evt_01J] two'
    """
    return _CITATION.sub("(", " ".join(_UNSEEN.sub("", text).split()))


def day_of(moment: datetime) -> str:
    """The day in UTC, as in 2026-02-01."""
    return moment.date().isoformat()
