"""Live against replayed: whether a view's file holds the rows that its log means (V3)."""

from __future__ import annotations

from hashlib import blake2b

from walnut.model.results import ViewCheck
from walnut.views.applier import Applier
from walnut.views.damage import UNREADABLE, Damaged, is_damage
from walnut.views.fold import digests
from walnut.views.store import ViewFile, create, read_stamp


def check_view(name: str, file: ViewFile, applier: Applier) -> ViewCheck:
    """Replay the log up to the file's position into a database of its own, and compare all digests."""
    lsn, live, wrong = _look(file, applier)
    if wrong:
        return ViewCheck(name=name, lsn=lsn, ok=False, live_digest="", replayed_digest="", differences=wrong)
    replayed = _replay(file, applier, lsn)
    names = sorted(live.keys() | replayed.keys())
    differences = tuple(each for each in names if live.get(each) != replayed.get(each))
    return ViewCheck(
        name=name,
        lsn=lsn,
        ok=not differences,
        live_digest=_joined(live),
        replayed_digest=_joined(replayed),
        differences=differences,
    )


def _look(file: ViewFile, applier: Applier) -> tuple[int, dict[str, str], tuple[str, ...]]:
    """Position and digests of the live file, or what is wrong with it."""
    lsn = 0
    try:
        _, db = file.connect()
        try:
            db.execute("BEGIN")
            stamp = read_stamp(db)
            lsn = max(stamp.lsn, 0)
            applier.check(stamp)
            found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")]
            if found != ["ok"]:
                return lsn, {}, tuple(f"damaged: {line}" for line in found)
            return lsn, digests(applier.folds, db), ()
        finally:
            db.close()
    except (Damaged, *UNREADABLE) as error:
        if not is_damage(error):
            raise
        return lsn, {}, (f"damaged: {error}",)


def _replay(file: ViewFile, applier: Applier, lsn: int) -> dict[str, str]:
    with file.scratch() as db:
        create(db, applier.folds, applier.new_stamp())
        applier.apply(db, lsn)
        return digests(applier.folds, db)


def _joined(parts: dict[str, str]) -> str:
    return blake2b(repr(sorted(parts.items())).encode(), digest_size=16).hexdigest()
