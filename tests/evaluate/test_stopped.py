"""Papers and studies that are stopped keep their records, and go on to the results that they would have had anyway."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dnnmig_env.families.registry import make_generator, scenarios
from evaluate.__main__ import main
from evaluate.compare.record import Record, Rollout
from evaluate.compare.rollout import Arena
from evaluate.output.journal import JOURNAL, Journal
from evaluate.output.unfinished import journal_in
from evaluate.studies import runs
from evaluate.studies.playing import played_s
from evaluate.studies.variants import Agent
from tests.evaluate.papers.profiles import TINY, write_profiles
from tests.evaluate.papers.shrunk import shrink_eosdnn

pytestmark = pytest.mark.usefixtures("quick_pictures")

MJOA_MU = ["--networks", "alexnet", "--layers", "6", "--mbps", "20", "80", "160", "--edge-tflops", "1"]

COMMANDS = {
    "paper": ["--mbps", "20", "80"],
    "eosdnn": ["--scenarios", "2", "--iterations", "5"],
    "mjoa-mu": [*MJOA_MU, "--device-gflops", "2", "--users", "2", "--scenarios", "2"],
    "study generalisation": ["--family", "toy", "--scenarios", "3"],
    "study decisions": ["--family", "toy", "--scenarios", "3", "--seeds", "1", "--steps", "100"],
}
"""Small ones of each kind."""

RECORDS = {
    "paper": 2 * 5,
    "eosdnn": 2 * 2 * (11 + 10) + 3 * 2,
    "mjoa-mu": 3 + 2 * 2,
    "study generalisation": 3 * 3,
    "study decisions": 5 * 3,
}
"""How many records each has: as many as there are plans, or scenarios under a policy."""

STOPS = [(name, count - 1) for name, count in RECORDS.items()] + [("eosdnn", 25), ("mjoa-mu", 2), ("paper", 3)]
"""After how many records each is stopped."""


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Let scenarios be small throughout."""
    with pytest.MonkeyPatch.context() as patched:
        shrink_eosdnn(patched)
        yield


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    """Return a function that runs one of the commands."""
    folder = tmp_path_factory.mktemp("given")
    profiles = write_profiles(folder / "profiles")
    model = runs.finished_run("any", Agent(is_trained=False), 0, "toy", 1, folder, lambda line: None).model
    further = {"paper": ["--profiles", str(profiles)], "study generalisation": ["--agent", str(model)]}

    def run(name: str, out: Path, *more: str) -> int:
        return main([*name.split(), *COMMANDS[name], *further.get(name, []), "--out", str(out), *more])

    return run


@pytest.fixture(scope="module")
def whole(command: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that returns the results of a command that was never stopped."""
    found: dict[str, Path] = {}

    def results(name: str) -> Path:
        if name not in found:
            found[name] = tmp_path_factory.mktemp("whole") / "out"
            assert command(name, found[name]) == 0
        return found[name]

    return results


def stop_after(count: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Let SIGTERM come after some records were added; return the list that receives those that are added."""
    add, added = Journal.add, list[tuple[str, int]]()

    def counting(self: Journal[Any], name: str, number: int, record: Any) -> None:
        is_new = number not in self.known.get(name, {})
        add(self, name, number, record)
        if is_new:
            added.append((name, number))
            if len(added) == count:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Journal, "add", counting)
    return added


def without_seconds(data: Any) -> Any:
    """Return results without what differs from run to run: seconds of planning, and where they were written."""
    if isinstance(data, dict):
        return {name: without_seconds(each) for name, each in data.items() if name not in ("planning_s", "out")}
    return [without_seconds(each) for each in data] if isinstance(data, list) else data


def results(out: Path) -> Any:
    (file,) = out.glob("*.json")
    return without_seconds(json.loads(file.read_text()))


@pytest.mark.parametrize(("name", "count"), STOPS)
def test_a_stopped_command_goes_on_and_ends_with_the_same_results(
    command: Callable[..., int],
    whole: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    count: int,
) -> None:
    expected, out = whole(name), tmp_path / "out"
    with monkeypatch.context() as patched:
        first = stop_after(count, patched)
        capsys.readouterr()
        assert command(name, out) == 128 + signal.SIGTERM
    said = capsys.readouterr().err
    assert f"interrupted: {count} records are kept in {out}; the same command goes on from there." in said
    assert {path.name for path in out.iterdir()} - {"runs"} == {JOURNAL}
    played = list[int]()
    with monkeypatch.context() as patched:
        second = stop_after(-1, patched)
        roll_out = Arena.roll_out

        def counting(self: Arena, policy: Any, env: Any, on_end: Any, known: dict[int, Any]) -> Rollout:
            played.append(len(self.numbers) - len(known))
            return roll_out(self, policy, env, on_end, known)

        patched.setattr(Arena, "roll_out", counting)
        assert command(name, out) == 0
    assert sum(played) == (RECORDS[name] - count if name.startswith("study") else 0)
    assert len(first) == count and len(first) + len(second) == RECORDS[name]
    assert not set(first) & set(second)
    assert results(out) == results(expected)
    if name != "eosdnn":  # whose table has the seconds of planning
        assert (out / "table.md").read_text() == (expected / "table.md").read_text()
    assert {path.name for path in out.iterdir()} == {path.name for path in expected.iterdir()}
    assert JOURNAL not in {path.name for path in out.iterdir()}


@pytest.mark.parametrize(
    ("name", "option", "says"),
    [
        ("paper", ["--mbps", "20", "160"], "mbps was [20.0, 80.0], now it is [20.0, 160.0]"),
        ("eosdnn", ["--iterations", "6"], "iterations was 5, now it is 6"),
        ("mjoa-mu", ["--seed", "2"], "seed was 1, now it is 2"),
        ("study generalisation", ["--scenarios", "4"], "scenarios was 3, now it is 4"),
    ],
)
def test_other_options_and_damaged_journals_are_refused(
    command: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    option: list[str],
    says: str,
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        stop_after(2, patched)
        assert command(name, out) == 128 + signal.SIGTERM
    before = (out / JOURNAL).read_text()
    monkeypatch.setitem(COMMANDS, name, [*without(COMMANDS[name], option[0]), *option])
    capsys.readouterr()
    assert command(name, out) == 2
    error = capsys.readouterr().err
    assert f"it was begun with other settings ({says})" in error and error.count("\n") == 1
    assert (out / JOURNAL).read_text() == before
    (out / JOURNAL).write_text(before.replace('"number": 1', '"number": 7'))
    monkeypatch.undo()
    assert command(name, out) == 2
    assert "line 3 is damaged; repeat the same command" in capsys.readouterr().err


def without(words: list[str], option: str) -> list[str]:
    """Return the words of a command line without an option and its values."""
    if option not in words:
        return words
    first = words.index(option)
    last = next((k for k in range(first + 1, len(words)) if words[k].startswith("--")), len(words))
    return words[:first] + words[last:]


def test_other_versions_are_refused(
    command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        stop_after(1, patched)
        assert command("paper", tmp_path / "out") == 128 + signal.SIGTERM
    monkeypatch.setattr("evaluate.output.unfinished.versions", lambda: {"numpy": "1.0"})
    assert command("paper", tmp_path / "out") == 2
    assert "other settings (version of numpy was" in capsys.readouterr().err


def test_scenarios_of_several_settings_do_not_stand_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = stop_after(-1, monkeypatch)
    generator, given = make_generator("toy"), scenarios("toy", 2, 0)
    with journal_in(tmp_path / "out", {}, Record, overwrite=False) as journal:
        for title in ("one", "one", "other"):
            played_s(["front-to-back"], generator, given, 0, journal, title)
    assert len(added) == 2 * 2


def test_a_changed_profile_is_refused(
    command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profiles, out = write_profiles(tmp_path / "profiles"), tmp_path / "out"
    words = ["paper", "--profiles", str(profiles), "--out", str(out)]
    with monkeypatch.context() as patched:
        stop_after(1, patched)
        assert main(words) == 128 + signal.SIGTERM
    write_profiles(profiles, TINY.replace("400,20", "400,21"))
    assert main(words) == 2
    assert "it was begun with other settings (tiny.csv was" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


def test_a_model_that_was_replaced_is_played_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [
        runs.finished_run("any", Agent(is_trained=False), seed, "toy", 1, tmp_path, lambda line: None).model
        for seed in (0, 1)
    ]
    words = ["study", "generalisation", *COMMANDS["study generalisation"], "--agent", str(models[0])]
    with monkeypatch.context() as patched:
        stop_after(4, patched)  # three of the model's, and one of a planner's
        assert main([*words, "--out", str(tmp_path / "out")]) == 128 + signal.SIGTERM
    models[0].write_bytes(models[1].read_bytes())
    with monkeypatch.context() as patched:
        added = stop_after(-1, patched)
        assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert len(added) == 9 - 1
