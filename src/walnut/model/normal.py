"""Normal forms of any text, in time proportional to its length."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

#: No script puts more marks on one character; Unicode allows a reader to stop here (stream-safe text).
MOST_MARKS = 30
#: Shorter texts can't cost much.
_SHORT = 512
# All combining marks are among these; the last two become such marks.
_LONG_RUN = re.compile(rf"((?:[^\w\s]|[\uff9e\uff9f]){{{MOST_MARKS}}})(?:[^\w\s]|[\uff9e\uff9f])+")


def normalized(form: Literal["NFC", "NFD", "NFKD"], text: str) -> str:
    """The text in a normal form; of a long text, each run of marks and signs is cut to its first 30.

    Putting a run of marks in order takes time that grows with the square of its length: without the cut one
    text of a megabyte could keep a processor busy for days.

    >>> normalized("NFC", "cafe\u0301")
    'café'
    """
    if len(text) > _SHORT and not text.isascii():
        text = _LONG_RUN.sub(r"\1", text)
    return unicodedata.normalize(form, text)
