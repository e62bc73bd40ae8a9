"""The tour in the docs is what a terminal shows today."""

from tests.docs import tour


def test_the_tour_is_what_the_commands_print() -> None:
    assert tour.TOUR.read_text(encoding="utf-8") == tour.play(), "run: python -m tests.docs.tour"
