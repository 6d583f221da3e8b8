"""The two hostile scripts, with fewer files than ``make bench`` gives them; the full counts stand in docs/images.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def report_of(script: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, str(SCRIPTS / script), *arguments], capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    report["exit"] = done.returncode
    return report


def test_no_forbidden_url_reaches_a_socket() -> None:
    report = report_of("fuzz_urls.py")
    assert report["forms"] >= 250
    assert (report["connections_tried"], report["arrived_at_listener"]) == (0, 0), report["tried"]
    assert report["control"] == {"permitted": ["READ", 1], "noticed": ["timeout", 1]}
    assert report["exit"] == 0


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory through /proc (Linux)")
def test_bombs_and_mutated_files_crash_nothing() -> None:
    report = report_of("fuzz_images.py", "--bombs", "12", "--mutants", "300")
    assert (report["bombs"]["files"], report["mutants"]["files"]) == (24, 300)
    assert (report["bombs"]["crashes"], report["mutants"]["crashes"]) == (0, 0), report
    assert report["bombs"]["extra_megabytes"] <= 200
    assert {"picture", "broken"} <= set(report["mutants"]["outcomes"])
