import walnut

with walnut.open("./memory", scope="user:alice") as m:
    berlin = m.remember("Alice lives in Berlin", key="home", valid_from="2021-05-01")
    m.remember("Alice lives in Paris", key="home", valid_from="2026-03-01")

    # What was true then? Valid time: when the fact held in the world.
    assert m.get(key="home").text == "Alice lives in Paris"
    assert m.as_of(valid_time="2025-01-01").get(key="home").text == "Alice lives in Berlin"

    # What did we know then? System time: what the log held, by time or by exact LSN.
    before = m.as_of(lsn=berlin.lsn)
    assert before.get(key="home").text == "Alice lives in Berlin"
    assert [hit.text for hit in before.recall("where does Alice live?")] == ["Alice lives in Berlin"]
    assert m.as_of(system_time="2020-01-01").recall("Alice") == []

    # Learned late: the correction is new, what it says is old.
    m.remember("Alice lives in Potsdam", key="home", valid_from="2020-01-01", valid_until="2021-05-01")
    assert m.get(key="home").text == "Alice lives in Paris"
    assert m.as_of(valid_time="2020-06-01").get(key="home").text == "Alice lives in Potsdam"

    # Both at once: what did we believe on the first day about 2025?
    both = m.as_of(lsn=berlin.lsn, valid_time="2025-01-01")
    assert both.get(key="home").text == "Alice lives in Berlin"
