import walnut

with walnut.open("./memory", scope="user:alice", actor="agent:teddy") as m:
    m.remember("The deploy key is on the public wiki", source={"conversation_id": "c1"})
    m.recall("where is the deploy key?")  # the agent is shown it …
    note = m.remember("Told the team to fetch the deploy key from the wiki")  # … and then writes this

    plan = m.plan_revert(source={"conversation_id": "c1"})
    suspect = plan.items[-1]
    assert (suspect.event_id, suspect.role, suspect.reverts) == (note.event_id, "suspect", False)

    m.apply(m.plan_revert(source={"conversation_id": "c1"}, include_suspects=True))
    assert m.list().items == ()
