"""Times in a question: what people write is understood, and what only looks like a time is not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walnut.recall.times import LOOKED_AT, times

#: A Wednesday.
NOW = datetime(2024, 5, 15, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ns(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1) * 1_000


def days(query: str) -> list[tuple[str | None, str | None]]:
    found = times(query, now=ns(NOW)).windows
    return [(day(window.since), day(window.until)) for window in found]


def day(when: int | None) -> str | None:
    return None if when is None else (EPOCH + timedelta(microseconds=when // 1_000)).date().isoformat()


UNDERSTOOD = {
    "what did I say yesterday?": ("2024-05-14", "2024-05-15"),
    "the day before yesterday": ("2024-05-13", "2024-05-14"),
    "who called last night": ("2024-05-14", "2024-05-15"),
    "what broke last week": ("2024-05-06", "2024-05-13"),
    "plans for next month": ("2024-06-01", "2024-07-01"),
    "what happened last month": ("2024-04-01", "2024-05-01"),
    "what happened in the last month": ("2024-04-01", "2024-05-15"),
    "last quarter": ("2024-01-01", "2024-04-01"),
    "this year": ("2024-01-01", "2025-01-01"),
    "3 days ago": ("2024-05-12", "2024-05-13"),
    "two months ago": ("2024-02-29", "2024-03-30"),
    "a couple of weeks back": ("2024-04-28", "2024-05-05"),
    "in the past two weeks": ("2024-05-01", "2024-05-16"),
    "what did we do in the past week?": ("2024-05-08", "2024-05-16"),
    "the past quarter": ("2024-02-15", "2024-05-16"),
    "in the last\t3\ndays": ("2024-05-12", "2024-05-16"),
    "who called last\u00a0night": ("2024-05-14", "2024-05-15"),
    "more than two years ago": (None, "2022-11-14"),
    "in March": ("2024-03-01", "2024-04-01"),
    "in May": ("2024-05-01", "2024-06-01"),
    "in june": ("2023-06-01", "2023-07-01"),
    "early in September 2023": ("2023-09-01", "2023-10-01"),
    "before March": (None, "2024-03-01"),
    "until March": (None, "2024-04-01"),
    "after March": ("2024-04-01", None),
    "since 2023": ("2023-01-01", None),
    "in the year 2023": ("2023-01-01", "2024-01-01"),
    "on 8 May 2023": ("2023-05-08", "2023-05-09"),
    "on the 8th of May": ("2024-05-08", "2024-05-09"),
    "May 8th, 2023": ("2023-05-08", "2023-05-09"),
    "2023-05-08": ("2023-05-08", "2023-05-09"),
    "the call at 2023-05-08T10:00:00Z": ("2023-05-08", "2023-05-09"),
    "2023-05": ("2023-05-01", "2023-06-01"),
    "8.5.2023": ("2023-05-08", "2023-05-09"),
    "on 25/12/2023": ("2023-12-25", "2023-12-26"),
    "between June and August 2023": ("2023-06-01", "2023-09-01"),
    "from December to February": ("2023-12-01", "2024-03-01"),
    "10 May to 12 June 2023": ("2023-05-10", "2023-06-13"),
    "last summer": ("2023-06-01", "2023-09-01"),
    "in the winter": ("2023-12-01", "2024-03-01"),
    "fall 2022": ("2022-09-01", "2022-12-01"),
    "Q3 2023": ("2023-07-01", "2023-10-01"),
    "the third quarter of last year": ("2023-07-01", "2023-10-01"),
    "last Monday": ("2024-05-13", "2024-05-14"),
    "on Friday": ("2024-05-10", "2024-05-11"),
    "next Tuesday": ("2024-05-21", "2024-05-22"),
    "over the weekend": ("2024-05-11", "2024-05-13"),
}


@pytest.mark.parametrize(
    ("query", "now", "since"),
    [
        ("last Wednesday", NOW, "2024-05-08"),  # today is one
        ("one month ago", datetime(2024, 5, 31, tzinfo=UTC), "2024-04-11"),  # there is no 31 April
    ],
)
def test_R3_a_time_is_there_whatever_day_it_is(query: str, now: datetime, since: str) -> None:
    (window,) = times(query, now=ns(now)).windows
    assert day(window.since) == since


@pytest.mark.parametrize("query", UNDERSTOOD)
def test_times_are_understood_as_seen_from_the_moment(query: str) -> None:
    assert days(query) == [UNDERSTOOD[query]]


@pytest.mark.parametrize(
    "query",
    [
        *("may I ask?", "this may be wrong", "it may rain", "the 3 may come", "the march on Rome", "march 5 miles"),
        *("the second time", "a second ago", "the sun sat low", "Sun Microsystems", "the fall of the wall", "spring"),
        *(
            "the last time",
            "the last straw",
            "the next step",
            "in the past",
            "this one",
            "room 2023",
            "over 2000 people",
        ),
        *("2023", "2000 steps", "INV-2023-05", "version 2023.5", "v1.2.2023", "5/6/2023", "31 February 2023", "24/7"),
        *(
            "9000 years ago",
            "what did April say",
            "a book by May",
            "before the wedding",
            "how long ago",
            "1.2.3",
            "10:30",
        ),
        *("between August 2024 and June 2023",),
        *("gestern", "letzte Woche", "先週", "вчера", "hier", ""),
    ],
)
def test_what_only_looks_like_a_time_is_none(query: str) -> None:
    found = times(query, now=ns(NOW))
    assert (found.windows, found.rest) == ((), query)


def test_the_words_of_a_time_leave_the_rest() -> None:
    assert times("what broke last week in the hall?", now=ns(NOW)).rest == "what broke  in the hall?"
    assert times("yesterday?", now=ns(NOW)).rest == "yesterday?"
    assert times("between 3 and 4 it fell", now=ns(NOW)).rest == "between 3 and 4 it fell"


def test_several_times_are_several_windows() -> None:
    assert len(days("in March or in April, or was it yesterday?")) == 3


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "since",
                    "before",
                    "between",
                    "and",
                    "in",
                    "last",
                    "next",
                    "this",
                    "march",
                    "may",
                    "2023",
                    "31",
                    "ago",
                ),
                *("two", "weeks", "day", "friday", "q3", "of", "the", "-", "winter", "2024-02", "years", "from", "to"),
            ]
        ),
        max_size=8,
    ),
    st.sampled_from([-(2**63), 0, ns(NOW), 2**62, 2**63 - 1]),
)
def test_any_words_of_time_at_any_moment_give_windows_that_are_not_backwards(words: list[str], now: int) -> None:
    for window in times(" ".join(words), now=now).windows:
        assert window.since is None or window.until is None or window.since < window.until


def test_a_page_is_looked_at_no_further_than_its_start() -> None:
    assert times("x" * LOOKED_AT + " yesterday", now=ns(NOW)).windows == ()
