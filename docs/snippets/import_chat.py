import json
from pathlib import Path

import walnut
from walnut.cli import main

Path("chat.json").write_text(
    json.dumps(
        [
            {"role": "user", "content": "Please send invoices as CSV", "created_at": "2026-02-01T09:00:00Z"},
            {"role": "assistant", "content": "Noted: CSV from now on", "created_at": "2026-02-01T09:00:05Z"},
        ]
    ),
    encoding="utf-8",
)
for _ in range(2):  # the second time adds nothing
    # On the command line: walnut import chat.json --store ./memory --scope user:alice
    assert main(["import", "chat.json", "--store", "./memory", "--scope", "user:alice"]) == 0
    with walnut.open("./memory", scope="user:alice", create=False) as m:
        assert len(m.list().items) == 2
        assert m.recall("CSV invoices")[0].occurred_at.year == 2026
