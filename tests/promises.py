"""The promises Walnut makes, by id; a test names the one it checks: `test_L5_damage_is_refused`.

`tests/tidy/test_promises.py` holds tests and promises together. A promise is in one of three states:
tested (some test names it), DEFERRED (not built yet, with the reason), or PENDING (built or being built, its
test is still to come). PENDING only shrinks: an id in it that has a test fails the run until it is taken out.
"""

PROMISES = {
    # The log
    "L1": "An Ack names the durability that was reached, and is never given before it is reached.",
    "L2": "A transaction lies in one checksummed frame: all of it is visible, or none.",
    "L3": "LSNs are dense, unique and in file order; no reader sees one past the durable one.",
    "L4": "Segments are prepared ahead and never truncated or overwritten; a torn end is sealed by rolling.",
    "L5": "A bad frame is a torn tail only if nothing proves otherwise; damage is refused, never dropped.",
    "L6": "What recovery keeps is made durable before it is served.",
    "L7": "A failed fsync is final: the log is poisoned, callers get DurabilityUnknown, nothing is retried.",
    "L8": "A full disk is a clear refusal; earlier acks stand and work goes on once there is space.",
    "L9": "Any number of processes and threads append and read; a killed one blocks nobody.",
    "L10": "Concurrent appends are grouped; a lone writer never waits for company.",
    "L11": "The same idempotency key gives the first Ack again, across processes, restarts and crashes.",
    "L12": "Append conditions are atomic with the append.",
    "L13": "Verification checks every bit of history offline and read-only.",
    "L14": "Sealed segments leave for an archive only after they were read back and verified there.",
    "L15": "Every system call, clock reading, random draw, thread and lock of the core goes through System.",
    "L16": "A purge keeps every frame's offset and length; erased content becomes padding.",
    # The views
    "V1": "A view is a deterministic fold of events, with a name and a version.",
    "V2": "A view's position is stored in the same transaction as its rows.",
    "V3": "A live view equals a replay of the log, always.",
    "V4": "Views may be deleted at any time; a corrupt view may miss, it never lies.",
    "V5": "A handle reads its own writes; min_lsn gives the same across processes.",
    "V6": "One process applies at a time and another takes over; readers see one consistent LSN.",
    "V7": "A view that fails on an event stops there and says so; log and other views work on.",
    # Time, versions, undo
    "T1": "Valid time: a version holds until the next later-starting one begins, whichever came first.",
    "T2": "as_of(lsn=n) equals a replay up to n.",
    "T3": "An event counts iff no counting revert names it; a revert can be reverted.",
    "T4": "What was derived from reverted events goes with them; what was merely shown is suspect.",
    "T5": "Intents and erasures can't be reverted; a restored version past its TTL stays expired.",
    # Contexts
    "C1": "A context takes at most its budget, as its counter counts; what it leaves out is counted.",
    "C2": "A line is one current event that the handle may read, cited; no text passes for another line.",
    "C3": "The same store, question and arguments give the same bytes.",
    # Recall
    "R1": "What a scope finds and how it scores depends on nothing but what the scope may read.",
    "R2": "The parts of a score have their true names and sum to it exactly.",
    "R3": "What a query names comes first (its words' forms, identifiers, phrases, times, speakers); filters all hold.",
    "R4": "A hit takes one place; what repeats it, bears it out or contradicts it stands beside it.",
    "R5": "Vectors of one model are compared with no other's; a text is sent to a model once, a forgotten one never.",
    # Erasure
    "E1": "Erasure is hidden in every view before the call returns.",
    "E2": "Erasure follows evidence down to derived facts.",
    "E3": "The purge runs within its deadline and resumes after a crash.",
    "E4": "A receipt lists places, counts and proof.",
    "E5": "A redelivered erased event is answered erased=True and not stored.",
}

DEFERRED = {
    "L14": "there is no archive yet",
    "L16": "there is no purge yet",
    "E1": "erasure is not built yet",
    "E2": "erasure is not built yet",
    "E3": "erasure is not built yet",
    "E4": "erasure is not built yet",
    "E5": "erasure is not built yet",
}

PENDING: set[str] = set()
