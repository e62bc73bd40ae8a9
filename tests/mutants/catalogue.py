"""The seeded bugs: each breaks one promise in one place."""

from __future__ import annotations

from tests.mutants.bugs.admission import BUGS as ADMISSION
from tests.mutants.bugs.contexts import BUGS as CONTEXTS
from tests.mutants.bugs.disk import BUGS as DISK
from tests.mutants.bugs.found import BUGS as FOUND
from tests.mutants.bugs.models import BUGS as MODELS
from tests.mutants.bugs.moments import BUGS as MOMENTS
from tests.mutants.bugs.nearness import BUGS as NEARNESS
from tests.mutants.bugs.processes import BUGS as PROCESSES
from tests.mutants.bugs.recall import BUGS as RECALL
from tests.mutants.bugs.recovery import BUGS as RECOVERY
from tests.mutants.bugs.requests import BUGS as REQUESTS
from tests.mutants.bugs.views import BUGS as VIEWS
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *DISK,
    *RECOVERY,
    *PROCESSES,
    *ADMISSION,
    *VIEWS,
    *MOMENTS,
    *REQUESTS,
    *RECALL,
    *NEARNESS,
    *CONTEXTS,
    *MODELS,
    *FOUND,
)
