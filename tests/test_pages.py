"""What all pages have in common."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = "from pages.document import document; import sys; sys.stdout.write(document('t', [], {}, [], []).decode())"


def test_a_page_is_made_where_only_the_code_is() -> None:
    """As on the coordinator's machine, where nothing is installed."""
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {PROGRAM}"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Made by fastslow. This page" in made
