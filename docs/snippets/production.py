import walnut

# One process, many users: open the root once, bind a cheap handle for each request.
with walnut.open("./memory", scope="global", actor="service:support") as root:
    alice = root.bind(scope="user:alice/session:42", actor="agent:teddy")
    bob = root.bind(scope="user:bob", actor="agent:teddy")
    alice.remember("Wants a refund for order 1017")
    assert bob.recall("refund") == []  # siblings do not exist for each other

    # Trading durability for latency, where losing the last moment is fine.
    ack = alice.remember("Typing …", durability="process", ttl="2h")
    assert ack.durability == "process"

    # Two agents, one memory: the second learns that it was second.
    first = alice.remember("Refund of order 1017: pending", key="refund")
    alice.remember("Refund of order 1017: approved", key="refund", expected_version=first.version)
    try:
        alice.remember("Refund of order 1017: rejected", key="refund", expected_version=first.version)
    except walnut.VersionConflict as error:
        print("Somebody was first:", error.current, "instead of", first.version)
    else:
        raise AssertionError

    # Upkeep. Views and checkpoints are derived: they are verified, never trusted.
    assert root.log.verify().ok
    assert all(check.ok for check in root.upkeep.verify_views())
    root.upkeep.checkpoint()
    print(root.upkeep.stats())

# Offline, for a backup or after a crash: reads every bit, writes nothing.
report = walnut.verify("./memory")
print(report.verdict)
assert report.ok
