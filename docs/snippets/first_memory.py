import walnut

with walnut.open("./memory", scope="user:alice", actor="agent:tutor") as m:
    seen = m.remember(
        "Alice asked for the invoice as CSV, for the third time",
        source={"channel": "mail", "conversation_id": "c1", "message_id": "m7"},
        idempotency_key="mail:m7",
    )
    belief = m.remember(
        "Alice prefers CSV exports",
        key="export-format",
        tags=["preference"],
        confidence=0.8,
        caused_by=[seen],
    )
    assert belief.durability == "disk"  # it survives the power cord being pulled now

    (best,) = m.recall("does Alice prefer CSV or PDF?")
    print(best.text, best.memory_id, best.version, best.evidence)
    print(m.context("prepare the invoice for Alice", budget=200))
    print(m.why(belief))
    assert best.text == "Alice prefers CSV exports"
    assert [turn.event_id for turn in best.evidence] == [seen.event_id]
    assert m.why(belief).root.steps[0].event_id == seen.event_id

# A message that is delivered twice is remembered once, also after a restart.
with walnut.open("./memory", scope="user:alice", actor="agent:tutor") as m:
    again = m.remember(
        "Alice asked for the invoice as CSV, for the third time",
        source={"channel": "mail", "conversation_id": "c1", "message_id": "m7"},
        idempotency_key="mail:m7",
    )
    assert again.replayed
    assert again.lsn == seen.lsn

    # The same key is the same memory: a new version, which replaces the whole of it.
    m.remember("Alice prefers Parquet exports since March", key="export-format", tags=["preference"])
    assert m.get(key="export-format").text == "Alice prefers Parquet exports since March"
    assert [version.state for version in m.history(belief.memory_id)] == ["superseded", "current"]
