"""What is recorded beside results: the commit of this project, never that of a repository it happens to lie in."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from dnnmig_env.files import provenance


def git(folder: Path, *arguments: str) -> str:
    name = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", *name, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a copy of the module in it, not yet added, from which provenance is asked for."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "of something else")
    path = tmp_path / "provenance.py"
    path.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(path))
    return path


def test_the_commit_of_another_repository_is_not_recorded(copy: Path) -> None:
    assert "commit" not in provenance.versions()


def test_the_commit_and_whether_something_has_changed_since(copy: Path) -> None:
    git(copy.parent, "add", copy.name)
    git(copy.parent, "commit", "-q", "-m", "ours")
    commit = git(copy.parent, "rev-parse", "--short=12", "HEAD")
    assert provenance.versions()["commit"] == commit
    (copy.parent / "untracked.txt").write_text("no change of ours")
    assert provenance.versions()["commit"] == commit
    copy.write_text("changed")
    assert provenance.versions()["commit"] == f"{commit}+"


def test_the_versions_of_all_that_shapes_a_result() -> None:
    packages = ("gymnasium", "numba", "numpy", "sb3-contrib", "scipy", "stable-baselines3", "torch")
    expected = {"python": platform.python_version()} | {name: metadata.version(name) for name in packages}
    assert expected.items() <= provenance.versions().items()


def test_the_machine_is_its_processors_name_and_the_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    described = "processor\t: 0\nmodel name\t: Some CPU @ 2.50GHz\n\nprocessor\t: 1\nmodel name\t: Some CPU @ 2.50GHz\n"
    monkeypatch.setattr(provenance.Path, "read_text", lambda path: described)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    machine = provenance.machine()
    assert (machine["processor"], machine["cores"]) == ("Some CPU @ 2.50GHz", 3)
