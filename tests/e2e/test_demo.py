"""The demo command from outside: an empty folder becomes a working search, a second run repeats nothing, and Ctrl-C leaves nobody behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from hybrid_search.engines.embedded import EmbeddedEngine

COMMAND = [sys.executable, "-m", "hybrid_search", "demo"]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HYBRID_SEARCH_") and name != "REDIS_URL"}


def run_once(home: Path) -> dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, "--once", "--json", "--home", str(home), "--port", "0"], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def last_change(home: Path) -> int:
    engine = EmbeddedEngine(home / "index", index=False)
    try:
        return engine.status().seq
    finally:
        engine.close()


def of_demo(home: Path) -> list[str]:
    """Command lines of the processes that work on this folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            try:
                surroundings = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
                if str(home).encode() in surroundings:
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # gone, or not ours
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_empty_folder_becomes_a_search_and_a_second_run_embeds_nothing_again(tmp_path: Path) -> None:
    first = run_once(tmp_path)
    assert first["accepted"] == 440 and first["rejected"] == 0
    assert [query["name"] for query in first["queries"]] == ["text", "image", "text+image"]
    assert all(query["met"] and query["hits"] for query in first["queries"])
    assert {key.split("_")[0] for key in first["states"]} == {"text", "image", "cross"}
    assert all(states["pending"] == 0 and states["failed"] == 0 and states["ready"] > 300 for states in first["states"].values())
    changes = last_change(tmp_path)
    second = run_once(tmp_path)
    assert last_change(tmp_path) == changes
    assert [[hit[0] for hit in query["hits"]] for query in second["queries"]] == [
        [hit[0] for hit in query["hits"]] for query in first["queries"]
    ]
    assert of_demo(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ctrl_c_stops_every_child(tmp_path: Path) -> None:
    catalogue = tmp_path / "mine.csv"
    catalogue.write_text("id,title,price,currency\n1,red mug,9.5,USD\n2,blue vase,19,USD\n3,,free,USD\n", encoding="utf-8")
    home = tmp_path / "home"
    demo = subprocess.Popen(
        [*COMMAND, "--catalog", str(catalogue), "--home", str(home), "--port", "0"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    url = next((word for line in demo.stdout for word in line.split() if word.startswith("http://127.0.0.1:")), "")
    assert url
    found = httpx.post(f"{url}/v1/search", json={"q": "mug"}, trust_env=False, timeout=30).json()
    assert found["hits"][0]["id"] == "1"
    assert len(of_demo(home)) >= 4
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 130
    demo.stdout.close()
    deadline = time.monotonic() + 10
    while of_demo(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert of_demo(home) == []
    rejects = [json.loads(line) for line in (home / "index" / "rejects.jsonl").read_text().split("\n") if line]
    assert [(reject["line"], reject["field"]) for reject in rejects] == [(4, "price")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--catalog", "no-such-file.csv"], "no-such-file.csv"),
        (["--catalog", __file__], ".py"),
    ],
)
def test_a_catalogue_that_cannot_be_read_is_told_without_a_traceback(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--once", "--home", str(tmp_path), "--port", "0", *arguments], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr + done.stdout
    assert of_demo(tmp_path) == []
