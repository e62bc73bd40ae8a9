"""Runs `walnut` commands in a shell as a user types them, in a folder of their own."""

import os
import subprocess
import sys
from pathlib import Path


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line in a folder; the home and the temporary folder are that folder too."""
    bin_folder = folder / "bin"
    if not bin_folder.exists():
        bin_folder.mkdir()
        (bin_folder / "walnut").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m walnut "$@"\n')
        (bin_folder / "walnut").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WALNUT_")}
    environment |= {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(folder), "TMPDIR": str(folder)}
    work = folder / "here"
    work.mkdir(exist_ok=True)
    return subprocess.run(
        ["bash", "-c", command],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
