"""Bugs of nearness: rows kept between searches, the scan, codes of large scopes."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_VECTORS = "tests/unit/test_vectors.py::"
_CODES = "tests/unit/test_nearness_codes.py::"

BUGS = (
    Mutant(
        "vectors-of-a-replaced-file-are-kept",
        "recall/vectors.py",
        "        if snapshot.generation > self._generation:\n",
        "        if False:\n",
        f"{_VECTORS}test_V4_nothing_read_from_a_file_outlives_it",
        "V4",
        "a view that was rebuilt answers with what the damaged one said",
    ),
    Mutant(
        "a-reader-of-an-old-file-fills-what-is-kept",
        "recall/vectors.py",
        "        if snapshot.generation < self._generation:\n",
        "        if False:\n",
        f"{_VECTORS}test_V4_a_reader_of_a_file_that_was_replaced_leaves_nothing_of_it",
        "V4",
        "rows of a damaged file get in among those of the one that replaced it",
    ),
    Mutant(
        "vectors-after-the-moment-count",
        "recall/rows.py",
        '        end = int(np.searchsorted(self.lsns[: self.count], lsn, side="right"))\n',
        "        end = self.count\n",
        f"{_VECTORS}test_kept_rows_grow_with_the_view_and_answer_for_any_moment",
        "T2",
        "a search at a past LSN finds what was written later",
    ),
    Mutant(
        "the-rough-order-is-final",
        "recall/vectors.py",
        "        least = max(0.0, float(np.partition(rough, -count)[-count]) * (1 - _SLACK))\n",
        "        least = max(0.0, float(np.partition(rough, -count)[-count]) * (1 + _SLACK))\n",
        f"{_VECTORS}test_the_nearest_are_those_of_a_sort_of_all",
        "V3",
        "of equally near versions some are left out, by chance",
    ),
    Mutant(
        "the-past-is-asked-of-codes",
        "engine/hits.py",
        "        exact=handle.binding.lsn is not None,",
        "        exact=False,",
        f"{_CODES}test_V3_the_past_is_answered_exactly_whatever_codes_there_are",
        "V3 T2",
        "a search at a past LSN depends on when an index was made",
    ),
    Mutant(
        "what-came-after-the-codes-is-not-compared",
        "recall/vectors.py",
        "                found += ranked(late, self._query, late.dots(self._query), count)\n",
        "",
        f"{_CODES}test_what_is_not_coded_yet_is_compared_exactly",
        "V5",
        "what was just written is not found in a large scope",
    ),
    Mutant(
        "codes-of-other-rows-are-believed",
        "recall/codes.py",
        "checksum(part, self.meta.rows) == self.meta.checksum",
        "True",
        f"{_CODES}test_codes_belong_to_the_rows_they_were_made_from",
        "V4",
        "codes of another history propose the wrong versions",
    ),
    Mutant(
        "damaged-codes-are-believed",
        "recall/codes.py",
        'if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : start] != checksum.to_bytes(4, "little"):',
        "if data[: len(_MAGIC)] != _MAGIC or not body:",
        f"{_CODES}test_any_damage_to_a_file_is_noticed",
        "V4",
        "a damaged file stops the process, or hides memories",
    ),
    Mutant(
        "filters-trust-codes",
        "recall/vectors.py",
        "        if count > codes.SHORTLIST // codes.TRUSTED:\n",
        "        if False:\n",
        f"{_CODES}test_more_than_codes_are_good_for_is_found_by_a_scan",
        "V3",
        "what a filter that leaves little finds depends on when an index was made",
    ),
    Mutant(
        "codes-are-written-in-place",
        "recall/codes.py",
        '    temporary = f"{path}.{system.random(4).hex()}.tmp"\n'
        "    fd = system.open_file(temporary, create=True, exclusive=True)\n",
        "    temporary = path\n    fd = system.open_file(temporary, create=True)\n",
        f"{_CODES}test_V4_killed_while_codes_are_written_leaves_old_ones_new_ones_or_none",
        "V4",
        "who is killed while codes are written leaves half of them in the place of the old ones",
    ),
    Mutant(
        "codes-of-others-stand-in-the-way",
        "recall/codes.py",
        "        except (ValueError, RuntimeError, MemoryError):\n            return None\n",
        "        except ZeroDivisionError:\n            return None\n",
        f"{_CODES}test_a_file_of_others_under_a_good_checksum_is_made_anew",
        "V4",
        "a file of another version keeps a large scope without an index for good",
    ),
    Mutant(
        "codes-of-fewer-rows-than-they-say",
        "recall/codes.py",
        "        return cls(meta, index) if index.ntotal == meta.rows else None\n",
        "        return cls(meta, index)\n",
        f"{_CODES}test_what_is_sealed_and_none_of_ours_is_not_used",
        "V4",
        "memories that no code stands for are never near",
    ),
)
