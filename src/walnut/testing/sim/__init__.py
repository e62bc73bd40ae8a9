"""A simulated machine: disk, processes, threads, clocks and faults in memory, decided by a seed.

The fault model, which is that of local file systems on Linux and macOS:

- **Contents.** What was written and not synced may be on the disk after a power cut or not, sector by sector of 512
  bytes, each in any version since the last that a sync covered, in any order. A sector is never torn. Mapped files
  are stored whenever the machine likes. Sizes grow with what was written or not.
- **Failed syncs.** The pages of a sync that failed are called clean: later syncs carry only what was written again.
  Whoever had the file open is told, at the next sync of its own and once; who opens it later is not.
- **Names.** Files made, renamed and removed, and folders made, are sure once their folder was synced. Before,
  `names="journalled"` keeps a prefix of the changes, `"unordered"` any subset; a rename is whole or not at all.
- **Processes.** Death comes at any call, in the midst of a write or a store to a map; files and locks are let go of,
  the page cache stays. A power cut ends all and changes the boot id; the clock goes on.
- **Refusals.** EIO on writing, syncing, opening, mapping; ENOSPC; short writes; EINTR where Python lets one see it.

Not modelled: bits that change at rest, reads that fail, several machines on one disk.
"""

from __future__ import annotations

from walnut.testing.sim.disk import Fate
from walnut.testing.sim.faults import Faults
from walnut.testing.sim.machine import SimMachine, SimProcess
from walnut.testing.sim.schedule import Deadlock, Killed
from walnut.testing.sim.system import SimSystem

__all__ = ["Deadlock", "Fate", "Faults", "Killed", "SimMachine", "SimProcess", "SimSystem"]
