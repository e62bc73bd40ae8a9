"""Every log keeps the published contract; a new backend is added to `backends.py`."""

from pathlib import Path

import msgspec
import pytest

from tests.contract.backends import BACKENDS, Backend
from walnut.log.memory_log import MemoryLog
from walnut.model.results import VerifyReport
from walnut.ports import Appended, Batch
from walnut.system import System
from walnut.testing import CaseLimit, LogContract, Unsupported

NAMES = [case.name for case in BACKENDS[0].contract("").cases()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_keeps(backend: Backend, name: str, tmp_path: Path) -> None:
    (case,) = [case for case in backend.contract(str(tmp_path)).cases() if case.name == name]
    try:
        case.check()
    except Unsupported as reason:
        pytest.skip(str(reason))


class Careless(MemoryLog):
    """Forgets idempotency keys, and verifies without looking."""

    def append(self, batch: Batch) -> tuple[Appended, ...]:
        transactions = tuple(
            tuple(msgspec.structs.replace(draft, idem=None) for draft in drafts) for drafts in batch.transactions
        )
        return super().append(msgspec.structs.replace(batch, transactions=transactions))

    def verify(self) -> VerifyReport:
        return msgspec.structs.replace(super().verify(), events=0)


def test_the_report_tells_kept_broken_and_skipped_apart() -> None:
    report = LogContract(lambda: Careless(System())).report(limit=CaseLimit(30))
    verdicts = {outcome.name: outcome.verdict for outcome in report.outcomes}
    assert list(verdicts) == NAMES
    assert not report.ok
    assert verdicts["test_L3_lsns_are_dense_from_one"] == "kept"
    assert verdicts["test_L11_the_same_request_gets_the_first_answer"] == "broken"
    assert verdicts["test_L11_one_key_from_many_threads_is_written_once"] == "broken"
    assert verdicts["test_L11_answers_outlive_reopening"] == "skipped"
    assert verdicts["test_L13_a_sound_log_verifies"] == "broken"
    assert "skipped test_L11_answers_outlive_reopening Unsupported: this log can't be reopened" in str(report)


def test_the_in_memory_log_has_a_clean_report() -> None:
    report = LogContract(lambda: MemoryLog(System())).report()
    assert report.ok, str(report)
