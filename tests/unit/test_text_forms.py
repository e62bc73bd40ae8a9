# ruff: noqa: RUF001 - letters that look like Latin ones are what is tested
"""Words in many scripts and forms: found whatever the form, and the very form that was asked for first."""

import pytest

from tests.unit.small_world import World
from walnut.views.folds import terms

SAID = {
    "english": ("The invoices were archived in the cellar.", "invoice cellar"),
    "german": ("Die Überweisung an die Straßenbaufirma ging gestern raus.", "überweisung"),
    "french": ("Le garçon préfère le café près du théâtre.", "cafe theatre"),
    "spanish": ("La reunión de mañana será en Bogotá.", "reunion bogota"),
    "russian": ("Ёлка стоит в гостиной у окна.", "елка гостиной"),
    "greek": ("Η Μαρία αγόρασε ψωμί από τον φούρνο.", "μαρια ψωμι"),
    "hebrew": ("הרופא קבע פגישה ליום שלישי.", "פגישה רופא"),
    "hebrew, with prefixes apart": ("שָׁלוֹם לכולם", "שלום"),
    "arabic": ("الاجتماعُ القادم يوم الخميس", "الاجتماع الخميس"),
    "hindi": ("हमें नई किताबें खरीदनी हैं।", "किताबें"),
    "chinese": ("我们明天去北京参加会议。", "北京会议"),
    "japanese": ("黒猫が窓のそばで寝ている。", "黒猫"),
    "korean": ("회의는 금요일로 옮겨졌습니다.", "금요일"),
    "thai": ("เราจะประชุมกันที่กรุงเทพ", "กรุงเทพ"),
    "khmer": ("យើងនឹងជួបគ្នានៅភ្នំពេញ", "ភ្នំពេញ"),
    "burmese": ("ကျွန်တော်တို့ ရန်ကုန်မှာ တွေ့မယ်", "ရန်ကုန်"),
    "emoji": ("Sunday is for the 🎸", "🎸"),
    "emoji by its name": ("Monday is for the 🎻", "violin"),
    "right to left beside left to right": ("הקובץ report.pdf נשלח אל Dana", "report.pdf הקובץ"),
}


@pytest.fixture(scope="module")
def spoken() -> World:
    world = World()
    for said, _ in SAID.values():
        world.write(said)
    for number in range(40):
        world.write(f"nothing of interest, number {number}")
    return world


@pytest.mark.parametrize("language", SAID)
def test_what_was_said_is_found_first_in_any_language(spoken: World, language: str) -> None:
    lsn = list(SAID).index(language) + 1
    found = spoken.found(SAID[language][1], mode="keyword")
    assert found
    assert found[0] == lsn


@pytest.mark.parametrize(
    ("asked", "same", "other"),
    [
        ("invoices", "the invoices came", "the invoice came"),
        ("invoice", "the invoice came", "the invoices came"),
        ("café", "a café here", "a cafe here"),
        ("cafe", "a cafe here", "a café here"),
        ("Ёлка", "ёлка тут", "елка тут"),
        ("CAFÉ", "um café aqui", "um cafe aqui"),
    ],
)
@pytest.mark.parametrize("newer", ["same", "other"])
def test_the_form_that_was_asked_for_comes_first_and_the_other_is_found(
    asked: str, same: str, other: str, newer: str
) -> None:
    world = World()
    first, second = (same, other) if newer == "other" else (other, same)
    lsns = {first: world.write(first), second: world.write(second)}
    found = world.found(asked, mode="keyword")
    world.close()
    assert found == [lsns[same], lsns[other]]


IDENTIFIERS = {
    "INV-2041": "2041 inv came",
    "user_id": "the user has an id",
    "v1.2.3": "3 of v1 and 2",
    "ann@example.com": "example by ann, com",
    "src/app/main.py": "main py in the app, no src",
    "550e8400-e29b-41d4-a716-446655440000": "446655440000 a716 41d4 e29b 550e8400",
    "2024-05-08": "08 05 in 2024",
}


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_an_identifier_is_found_whole_before_its_parts(identifier: str) -> None:
    world = World()
    whole = world.write(f"See {identifier}, please, about the thing that we had talked about at some length.")
    parts = world.write(IDENTIFIERS[identifier])
    for number in range(30):
        world.write(f"see something else, please, {number}")
    for asked in (identifier, f"what about {identifier.upper()}?", f'"{identifier}"'):
        found = world.found(asked, mode="keyword")
        assert found[:2] == [whole, parts], asked
    world.close()


@pytest.mark.parametrize("unit", ["a", "a1", "-", "a-", "a--", "1.", "é", "黒", " ", "?", "a\u0301"])
def test_a_megabyte_of_anything_is_gone_over_once(unit: str) -> None:
    """Going back over it for each letter would take hours, not seconds."""
    text = unit * (1_000_000 // len(unit))
    for whole in (text, f"{text}!", f"{text} blank"):
        assert len(terms.formed(whole)[0]) == len(terms.formed(whole)[1])


def test_R3_forms_are_those_of_the_words_whoever_speaks_and_whatever_is_tagged() -> None:
    world = World()
    other = world.write("the invoices came", source={"speaker": "Ann"}, tags=["blue sky"])
    same = world.write("the invoice came", source={"speaker": "Ann"}, tags=["blue sky"])
    for asked, first in (("invoice", same), ("invoices", other)):
        best, second = (
            {part.name: part.value for part in hit.parts} | {"lsn": hit.lsn}
            for hit in world.recall(asked, mode="keyword")
        )
        assert (best["lsn"], best["text"] > second["text"]) == (first, True)
    for asked in ("ann", "sky", "blue"):
        one, two = world.recall(asked, mode="keyword")
        assert one.score == two.score
    world.close()
