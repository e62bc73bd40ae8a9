"""A simulated machine: disk, processes, threads, clocks and faults in memory, decided by a seed.

The fault model, which is that of local file systems on Linux and macOS:

- **Contents.** What was written and not synced may be on the disk after a power cut or not, sector by sector of 512
  bytes, each in any version since the last that a sync covered, in any order. A sector is never torn. Mapped files
  are stored whenever the machine likes. Sizes grow with what was written or not.
- **Failed syncs.** The pages of a sync that failed are called clean: later syncs carry only what was written again.
  Whoever had the file open is told, at the next sync of its own and once; who opens it later is not. With
  `evicting` such pages may leave the page cache: what is read there then is what the disk holds.
- **Names.** Files made, renamed and removed, and folders made, are sure once their folder was synced. Before,
  `names="journalled"` keeps a prefix of the changes, `"unordered"` any subset; a rename is whole or not at all, and
  between two folders sure once both were synced.
- **Processes.** Any call may let others go on, in the midst of a write or a store to a map too: they see half of it.
  Death comes at any call that changes something, half way where a half exists; files and locks are let go of, the
  page cache stays. Who is stopped keeps its locks. A lock whose conversion fails is lost, as on Linux. A power cut
  ends all and changes the boot id; the clock goes on.
- **Refusals.** EIO on writing, reading, syncing, making and renaming; ENOSPC, once or while the disk is `full`; short
  writes; EINTR where Python lets one see it.

Not modelled: bits that change at rest, forked processes, several machines on one disk.
"""

from __future__ import annotations

from walnut.testing.sim.disk import Fate
from walnut.testing.sim.faults import Faults
from walnut.testing.sim.machine import SimMachine, SimProcess
from walnut.testing.sim.schedule import Deadlock, Killed
from walnut.testing.sim.system import SimSystem

__all__ = ["Deadlock", "Fate", "Faults", "Killed", "SimMachine", "SimProcess", "SimSystem"]
