"""Bugs of what is decided under the lock: idempotency and conditions."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_KEEPS = "tests/contract/test_log_contract.py::test_keeps -k "
_ADMIT = "tests/unit/test_admission.py::"
_WRITE = "tests/unit/test_engine_write.py::"
_HOSTILE = "tests/contract/test_hostile_callers.py::"

BUGS = (
    Mutant(
        "idempotency-only-in-memory",
        "log/catalog.py",
        "            target.add(first_lsn=each.header.first_lsn, offset=each.offset, envelopes=envelopes)\n",
        "            envelopes = [frame.msgspec.structs.replace(each, idem=None) for each in envelopes]\n"
        "            target.add(first_lsn=each.header.first_lsn, offset=each.offset, envelopes=envelopes)\n",
        "tests/unit/test_log_distrust.py::test_L11_a_key_is_known_however_many_segments_ago_it_was_used",
        "L11",
        "a key is known until the process ends, and then written again",
    ),
    Mutant(
        "idempotency-forgotten-with-the-segment",
        "log/catalog.py",
        "            if found is not None:\n                return found\n        return None\n\n    def last_touch",
        "            if found is not None and number == state.segment:\n                return found\n"
        "        return None\n\n    def last_touch",
        "tests/unit/test_log_distrust.py::test_L11_a_key_is_known_however_many_segments_ago_it_was_used",
        "L11",
        "a key that lies in an older segment is written again",
    ),
    Mutant(
        "replayed-before-it-is-durable",
        "log/admission.py",
        "                wait_for = max(wait_for, *[each.lsn for each in replayed])\n",
        "",
        f"{_KEEPS}file-test_L11_a_replay_is_durable",
        "L11 L1",
        "a repeated request is answered while the first write is still in the page cache",
    ),
    Mutant(
        "request-hash-ignored",
        "log/admission.py",
        "    if event.content is not None and event.content.request_hash != draft.content.request_hash:\n",
        "    if False:\n",
        f"{_KEEPS}file-test_L11_another_request_is_refused_whole",
        "L11",
        "another request under the same key is answered as if it had been written",
    ),
    Mutant(
        "request-hash-with-the-key",
        "engine/keys.py",
        "    bare = msgspec.structs.replace(asked, idempotency_key=None)\n",
        "    bare = asked\n",
        f"{_WRITE}test_a_request_hash_is_of_the_request_alone",
        "L11",
        "the mark of a request depends on more than what is asked for",
    ),
    Mutant(
        "idempotency-keys-shared-between-scopes",
        "engine/keys.py",
        'return _hash(secret, b"idem", f"{scope}\\0{key}".encode())',
        'return _hash(secret, b"idem", key.encode())',
        "tests/contract/test_scopes.py::test_what_lies_outside_answers_as_if_it_did_not_exist",
        "L11",
        "one user's key replays, or refuses, another's request",
    ),
    Mutant(
        "own-group-not-seen-by-idempotency",
        "log/admission.py",
        "        return self._idems.get(idem) or self._index.find_idem(idem)",
        "        return self._index.find_idem(idem)",
        f"{_ADMIT}test_L11_a_batch_replays_another_of_the_same_frame",
        "L11",
        "a key that comes twice into one frame is written twice",
    ),
    Mutant(
        "a-transaction-half-known-is-replayed",
        "log/admission.py",
        "    if unknown or any(event.txn != first.txn for event in found.values()):\n",
        "    if any(event.txn != first.txn for event in found.values()):\n",
        f"{_KEEPS}file-test_L11_nothing_new_is_lost_in_a_replay",
        "L11 L2",
        "what is new in a transaction vanishes with the part that is known",
    ),
    Mutant(
        "conditions-met-again-by-a-replay",
        "log/admission.py",
        "            replayed = _replay(drafts, overlay)\n",
        "            if batch.conditions:\n                _check(batch.conditions, overlay, checked)\n"
        "            replayed = _replay(drafts, overlay)\n",
        f"{_KEEPS}file-test_L11_a_replay_does_not_meet_its_conditions_again",
        "L11",
        "who repeats a write that had come through is told of a conflict with it",
    ),
    Mutant(
        "condition-checked-outside-the-lock-only",
        "log/admission.py",
        "        offending = offending or _first_match(condition, overlay.read, after=after)\n",
        "        if checked is None:\n            offending = _first_match(condition, overlay.read, after=after)\n",
        f"{_KEEPS}file-test_L12_one_matching_event_has_one_winner",
        "L12",
        "what another wrote between the look and the write is not seen",
    ),
    Mutant(
        "condition-s-delta-not-bounded",
        "log/admission.py",
        "            offending, after = checked.offending[number], max(after, checked.upto)\n",
        "            offending, after = checked.offending[number], max(after, checked.upto + 1)\n",
        f"{_ADMIT}test_L12_under_the_lock_only_what_came_since_the_precheck_is_read",
        "L12",
        "the first event after the look outside the lock is skipped",
    ),
    Mutant(
        "own-group-not-seen-by-conditions",
        "log/admission.py",
        "        return self._touches.get(touch) or self._index.last_touch(touch)",
        "        return self._index.last_touch(touch)",
        f"{_ADMIT}test_L12_conditions_see_the_other_batches_of_the_frame",
        "L12",
        "two writers of one frame both win one version",
    ),
    Mutant(
        "expected-version-off-by-one",
        "log/admission.py",
        "        if newest > condition.after:\n",
        "        if newest > condition.after + 1:\n",
        f"{_KEEPS}file-test_L12_a_touch_after_the_expected_lsn_refuses",
        "L12",
        "a version that came right after the expected one is written over",
    ),
    Mutant(
        "an-update-does-not-look-for-a-forget",
        "engine/write.py",
        '    conditions += (_not_since(touch, kind, newest) for kind in ("memory.delete", "memory.reverted"))\n',
        '    conditions += (_not_since(touch, kind, newest) for kind in ("memory.reverted",))\n',
        f"{_HOSTILE}test_a_memory_forgotten_meanwhile_is_not_brought_back",
        "L12",
        "a memory that is forgotten while it is written comes back",
    ),
    Mutant(
        "an-update-does-not-look-for-an-undo",
        "engine/write.py",
        '    conditions += (_not_since(touch, kind, newest) for kind in ("memory.delete", "memory.reverted"))\n',
        '    conditions += (_not_since(touch, kind, newest) for kind in ("memory.delete",))\n',
        f"{_HOSTILE}test_a_memory_undone_meanwhile_is_not_brought_back",
        "L12 T3",
        "a memory that is undone while it is written comes back",
    ),
    Mutant(
        "forgets-are-not-conditional",
        "engine/write.py",
        "    elif version is not None:\n        conditions = (_condition(touch, version),)\n",
        "    elif version is not None:\n        pass\n",
        f"{_WRITE}test_of_many_forgets_one_wins_and_the_others_find_nothing",
        "L12",
        "of several that forget a memory each believes that it did",
    ),
)
