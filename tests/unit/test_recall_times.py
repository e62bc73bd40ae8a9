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
    "this weekend": ("2024-05-18", "2024-05-20"),
    "this Friday": ("2024-05-17", "2024-05-18"),
    "this Monday": ("2024-05-13", "2024-05-14"),
    "this summer": ("2024-06-01", "2024-09-01"),
    "this winter": ("2023-12-01", "2024-03-01"),
    "this March": ("2024-03-01", "2024-04-01"),
    "this December": ("2024-12-01", "2025-01-01"),
    "on 29 February": ("2024-02-29", "2024-03-01"),
    "February 29th": ("2024-02-29", "2024-03-01"),
    "what did we do last May?": ("2023-05-01", "2023-06-01"),
    "a year ago today": ("2022-11-13", "2023-11-14"),
    "at 2023-05-08T23:30:00-05:00": ("2023-05-08", "2023-05-09"),
    "at 2023-05-08T10:00:00.123+02:00": ("2023-05-08", "2023-05-09"),
    "between March and May": ("2024-03-01", "2024-06-01"),
    "from 30 December to 2 January": ("2023-12-30", "2024-01-03"),
    "from Monday to Friday": ("2024-05-06", "2024-05-11"),
    "between Friday and Monday": ("2024-05-10", "2024-05-14"),
    "since the day before yesterday": ("2024-05-13", None),
    "in the last quarter of 2023": ("2023-01-01", "2024-01-01"),
}


@pytest.mark.parametrize(
    ("query", "now", "since"),
    [
        ("last Wednesday", NOW, "2024-05-08"),  # today is one
        ("last Monday", datetime(2024, 5, 13, tzinfo=UTC), "2024-05-06"),
        ("one month ago", datetime(2024, 5, 31, tzinfo=UTC), "2024-04-11"),  # there is no 31 April
        ("29 February", datetime(2027, 3, 1, tzinfo=UTC), "2024-02-29"),
        ("29 February", datetime(2103, 3, 1, tzinfo=UTC), "2096-02-29"),  # 2100 has none
        ("29 February", datetime(2024, 2, 28, tzinfo=UTC), "2020-02-29"),
        ("a year ago", datetime(2024, 2, 29, tzinfo=UTC), "2022-08-29"),
        ("last week", datetime(2024, 1, 1, tzinfo=UTC), "2023-12-25"),
        ("last month", datetime(2024, 1, 31, tzinfo=UTC), "2023-12-01"),
        ("next month", datetime(2024, 1, 31, tzinfo=UTC), "2024-02-01"),
        ("last quarter", datetime(2024, 1, 1, tzinfo=UTC), "2023-10-01"),
        ("last year", datetime(2024, 12, 31, 23, 59, tzinfo=UTC), "2023-01-01"),
        ("this weekend", datetime(2024, 5, 19, 23, tzinfo=UTC), "2024-05-18"),
        ("this winter", datetime(2024, 12, 19, tzinfo=UTC), "2024-12-01"),
        ("this winter", datetime(2024, 1, 19, tzinfo=UTC), "2023-12-01"),
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
        *("between August 2024 and June 2023", "from yesterday to last week", "between yesterday and Monday"),
        *(
            "31 April",
            "on 30 February",
            "in the 90s",
            "in the 1990s",
            "since Easter",
            "since Easter 2023",
            "on the 5th",
        ),
        *("her last year of college", "the last week of school", "the last quarter of an hour", "two summers ago"),
        *("the last may have been", "this may well be", "the next may come", "in two weeks", "the week before last"),
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


MONTHS = tuple(f"{datetime(2024, month, 1, tzinfo=UTC):%B}" for month in range(1, 13))
WEEKDAYS = tuple(f"{datetime(2024, 1, day, tzinfo=UTC):%A}" for day in range(1, 8))
MOMENTS = st.integers(365 * 2, 365 * 280).map(lambda days: EPOCH + timedelta(days=days, hours=days % 24))


@given(st.integers(1, 12), st.integers(1, 31), st.integers(0, 5), MOMENTS)
def test_R3_a_day_of_a_year_is_the_latest_such_day_in_whatever_form(
    month: int, number: int, form: int, now: datetime
) -> None:
    name = MONTHS[month - 1]
    nth = f"{number}{'th' if number in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
    short = name[:3]
    said = (f"{number} {name}", f"the {nth} of {name}", f"{name} {nth}", f"{short}. {number}", f"{nth} {short}")
    found = times(f"what was on {(*said, f'{name.lower()} the {nth}')[form]}?", now=ns(now)).windows
    if number > 31 - (month in (4, 6, 9, 11)) - 2 * (month == 2):
        assert found == ()
        return
    ((since, until),) = [(window.since, window.until) for window in found]
    assert since is not None
    assert until == since + 86_400 * 10**9
    begins = EPOCH + timedelta(microseconds=since // 1_000)
    assert (begins.month, begins.day, begins.hour) == (month, number, 0)
    assert begins <= now
    later = [begins.year + years for years in range(1, 9) if (month, number) != (2, 29) or leap(begins.year + years)]
    assert begins.replace(year=later[0]) > now


def leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@given(st.sampled_from(WEEKDAYS), st.sampled_from(["last", "on", "next", "this"]), MOMENTS)
def test_R3_a_weekday_is_one_of_this_week_or_of_those_beside_it(name: str, which: str, now: datetime) -> None:
    (window,) = times(f"what was planned {which} {name}?", now=ns(now)).windows
    assert window.since is not None
    begins = EPOCH + timedelta(microseconds=window.since // 1_000)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    ahead = (begins - today).days
    assert f"{begins:%A}" == name
    assert ahead in {"last": range(-7, 0), "on": range(-6, 1), "next": range(1, 8), "this": range(-6, 7)}[which]
    if which == "this":
        assert begins.isocalendar()[:2] == now.isocalendar()[:2]


@given(st.text(max_size=200) | st.text(alphabet="0123456789 -/.:tzmay", max_size=60), st.integers(-(2**63), 2**63 - 1))
def test_any_text_at_any_moment_gives_windows_that_are_not_backwards(text: str, now: int) -> None:
    for window in times(text, now=now).windows:
        assert window.since is None or window.until is None or window.since < window.until


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
                *(
                    "monday",
                    "weekend",
                    "yesterday",
                    "29",
                    "february",
                    "easter",
                    "90s",
                    "before",
                    "feb 29th",
                    "12/31/2023",
                ),
                *(
                    "31 december",
                    "q1",
                    "last year",
                    "january",
                    "a couple of",
                    "half",
                    "the day before",
                    "9999",
                    "until",
                ),
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
