import json
from pathlib import Path

import walnut
from walnut.cli import main

with walnut.open("./memory", scope="user:alice", actor="agent:tutor") as m:
    for number, text in enumerate(
        ["I moved to Ghent in March", "My dog Comet sleeps on the sofa", "No peanuts, please"]
    ):
        m.remember(text, source={"channel": "chat", "message_id": f"m{number}", "speaker": "Alice"})

questions = [
    {"question": "Where does Alice live?", "gold": ["m0"], "category": "facts"},
    {"question": "Which pet does Alice have?", "gold": ["m1"], "category": "facts"},
    {"question": "What must she not eat?", "gold": ["m2"], "category": "health"},
]
Path("questions.jsonl").write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")

# On the command line: walnut eval questions.jsonl --store ./memory --scope user:alice --gold source.message_id
where = ["--store", "./memory", "--scope", "user:alice"]
assert main(["eval", "questions.jsonl", *where, "--gold", "source.message_id"]) == 0
# The same without vectors, for programs, which share stands first and which among the first three:
assert (
    main(
        [
            "eval",
            "questions.jsonl",
            *where,
            "--gold",
            "source.message_id",
            "--mode",
            "keyword",
            "-k",
            "1",
            "-k",
            "3",
            "--json",
        ]
    )
    == 0
)
