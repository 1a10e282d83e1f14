"""A stopped evaluation keeps its records and goes on to the numbers that it would have had anyway."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.files.folder_lock import locked
from evaluate.__main__ import main
from evaluate.compare.record import Record, Rollout
from evaluate.compare.rollout import Arena
from evaluate.output.journal import JOURNAL, Journal
from evaluate.output.unfinished import is_unfinished

pytestmark = pytest.mark.usefixtures("quick_pictures")


@pytest.mark.parametrize("name", ["random", "pso-ga:iterations=20+lmu", "joint-efficiency@replan"])
def test_what_is_left_is_played_as_if_nothing_had_been_stopped(name: str) -> None:
    given = scenarios("mobile" if "replan" in name else "multi-user", 20, seed=4, max_layers=6)
    limits = make_generator("mobile" if "replan" in name else "multi-user", max_layers=6).limits
    arena = Arena(limits, given, "custom")

    def played(known: dict[int, Record]) -> list[Record]:
        records: list[Record] = []
        for part in arena.parts(name):
            part.roll_out(*part.policy(name, seed=5), records.append, known)
        return records

    whole = played({})
    known = {record.scenario: record for record in whole[:7]}
    asked = played(known)
    expected, found = Rollout.of(whole), Rollout.of(asked)
    np.testing.assert_array_equal(found.mean_delay_s, expected.mean_delay_s)
    np.testing.assert_array_equal(found.decisions, expected.decisions)
    np.testing.assert_array_equal(found.planning_s[list(known)], expected.planning_s[list(known)])
    assert sorted(record.scenario for record in asked) == list(range(20))


def test_known_scenarios_cost_no_planning() -> None:
    given = scenarios("toy", 3, seed=0)
    arena, whole = Arena(make_generator("toy").limits, given, "toy"), []
    arena.roll_out(*arena.policy("front-to-back", seed=0), whole.append)
    policy, env = arena.policy("front-to-back", seed=0)
    asked: list[object] = []
    plan = policy._planner  # type: ignore[attr-defined]
    policy._planner = lambda *rest: (asked.append(rest), plan(*rest))[1]  # type: ignore[attr-defined]
    arena.roll_out(policy, env, known={record.scenario: record for record in whole[:2]})
    assert len(asked) == 1


def test_other_numbers_than_before_are_refused() -> None:
    given = scenarios("toy", 2, seed=0)
    arena = Arena(make_generator("toy").limits, given, "toy")
    stop = Record(0, 1.0, 1.0, 1.0, 1.0, 0.0, 1, False, (env_stop(arena),))
    with pytest.raises(ValueError, match=r"scenario 0 now has a mean delay of .*, not 1.0 s .*--overwrite"):
        arena.roll_out(*arena.policy("random", seed=0), known={0: stop})


def env_stop(arena: Arena) -> int:
    return int(arena.policy("device-only", seed=0)[1].stop_action)


ARGUMENTS = ["--family", "toy", "--scenarios", "3", "--policies", "device-only,random", "--out"]


def evaluated(out: Path, *more: str) -> int:
    return main([*ARGUMENTS, str(out), *more])


def test_a_stopped_command_goes_on_and_ends_with_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluated(tmp_path / "whole") == 0
    add = Journal.add

    def stopping(self: Journal[Record], policy: str, number: int, record: Record) -> None:
        add(self, policy, number, record)
        if self.count == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", stopping)
        capsys.readouterr()
        assert evaluated(tmp_path / "out") == 130
    said = capsys.readouterr()
    assert f"4 of 6 records are kept in {tmp_path / 'out'}; the same command goes on from there" in said.err
    assert "1 more policy to" in said.out and "device-only" in said.out  # what is done is on the screen
    assert [path.name for path in (tmp_path / "out").iterdir()] == [JOURNAL]
    assert main([*ARGUMENTS, str(tmp_path / "out"), "--seed", "2"]) == 2
    assert "other settings (seed was null, now it is 2)" in capsys.readouterr().err
    assert evaluated(tmp_path / "out") == 0
    rows = [
        list(csv.DictReader((tmp_path / name / "records.csv").read_text().splitlines())) for name in ("whole", "out")
    ]
    for column in ("policy", "scenario", "mean_delay_s", "decisions"):
        assert [row[column] for row in rows[0]] == [row[column] for row in rows[1]]
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("whole", "out")]
    assert names[0] == names[1] == ["config.json", "delays.png", "records.csv", "summary.json", "table.md"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["scenarios"] == 3


def test_if_the_results_cannot_be_written_the_table_is_printed_and_the_records_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ValueError("cannot write: No space left on device; name another folder.")

    with monkeypatch.context() as patched:
        patched.setattr("evaluate.compare.compare.write_folder", full)
        assert evaluated(tmp_path / "out") == 2
    said = capsys.readouterr()
    assert "No space left on device" in said.err and "device-only" in said.out and "written to" not in said.out
    assert is_unfinished(tmp_path / "out")
    assert evaluated(tmp_path / "out") == 0
    assert not (tmp_path / "out" / JOURNAL).exists()


def test_two_evaluations_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path / "out"):
        assert evaluated(tmp_path / "out") == 2
    assert "is in use by process" in capsys.readouterr().err


def test_progress_is_lines_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluated(tmp_path / "out") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{name}: {count} of 3 scenarios" for name in ("device-only", "random") for count in (0, 3)]
