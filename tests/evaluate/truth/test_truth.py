from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from evaluate.__main__ import main
from evaluate.truth import truth
from evaluate.truth.verdict import MEDIAN, MOST_SHARE, SAME_BEST
from tests.evaluate.figures import assert_nothing_is_cut_off, drawn_figures

FILES = {"truth.json", "records.csv", "table.md", "truth.png"}


def run(out: Path, *arguments: str) -> int:
    words = ["--family", "toy", "--scenarios", "2", "--policies", "device-only,joint-efficiency", "--repetitions", "1"]
    return main(["truth", "--out", str(out), *words, *arguments])


def test_the_command_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = drawn_figures(monkeypatch)
    assert run(tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    found = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert (found["family"], found["best_policy_same"], found["failures"]) == ("toy", 1.0, [])
    assert set(found["policies"]) == {"device-only", "joint-efficiency"}
    for figures in found["policies"].values():
        assert set(figures) >= {"ratio_median", "ratio_q10", "ratio_q90", "scenarios"}
        assert figures["scenarios"] == 2
    assert found["policies"]["device-only"]["ratio_median"] == pytest.approx(1.0)
    rows = list(csv.DictReader((tmp_path / "out" / "records.csv").read_text().splitlines()))
    assert [(row["policy"], row["scenario"]) for row in rows] == [
        ("device-only", "0"),
        ("device-only", "1"),
        ("joint-efficiency", "0"),
        ("joint-efficiency", "1"),
    ]
    assert all(
        float(row["ratio"]) == pytest.approx(float(row["predicted_s"]) / float(row["experienced_s"])) for row in rows
    )
    assert (tmp_path / "out" / "truth.png").read_bytes().startswith(b"\x89PNG")
    for figure in drawn:
        assert_nothing_is_cut_off(figure)
    printed, table = capsys.readouterr().out, (tmp_path / "out" / "table.md").read_text()
    assert "best policy the same in 100% of the scenarios" in printed
    assert "joint-efficiency" in table


def test_bounds_that_do_not_hold_end_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluate.truth.verdict.MEDIAN", -1.0)
    assert run(tmp_path / "out") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("not met: device-only: the median ratio is 1.000")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_the_way_in_which_weights_and_data_meet_can_be_chosen(tmp_path: Path) -> None:
    for mode in ("independent", "shared"):
        run(tmp_path / mode, "--uplink", mode)
    independent, shared = ((tmp_path / mode / "records.csv").read_text() for mode in ("independent", "shared"))
    assert independent != shared


def test_a_stopped_command_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done, compared = list[int](), truth.compared

    def stopping(*arguments: Any, **options: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return compared(*arguments, **options)

    monkeypatch.setattr(truth, "compared", stopping)
    assert run(tmp_path / "out") == 130
    assert "3 of 4 records are kept" in capsys.readouterr().err
    monkeypatch.setattr(truth, "compared", compared)
    assert run(tmp_path / "out") == 0
    assert run(tmp_path / "whole") == 0
    assert (tmp_path / "out" / "records.csv").read_text() == (tmp_path / "whole" / "records.csv").read_text()
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--scenarios", "0"], "--scenarios is 0; it must be at least 1"),
        (["--repetitions", "0"], "--repetitions is 0; it must be at least 1"),
        (["--seed", "-1"], "--seed is -1; it must be at least 0"),
        (["--policies", "devce-only"], "did you mean 'device-only'"),
        (["--policies", "random,,random"], "--policies"),
        (["--family", "multi-usr"], "did you mean 'multi-user'"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    words = ["--family", "toy", "--scenarios", "1", "--policies", "device-only"]
    kept = [word for pair in zip(words[::2], words[1::2], strict=True) if pair[0] not in arguments for word in pair]
    assert main(["truth", "--out", str(tmp_path / "out"), *kept, *arguments]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_bounds_are_those_of_the_models_description() -> None:
    assert (MEDIAN, MOST_SHARE, SAME_BEST) == (0.03, 0.9, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["single", "edge-cloud", "multi-user", "mobile"])
def test_the_model_tells_the_truth(family: str, tmp_path: Path) -> None:
    arguments = ["--family", family, "--scenarios", "60", "--repetitions", "3", "--out", str(tmp_path / "out")]
    assert main(["truth", *arguments, "--policies", "device-only,random,pso-ga+lmu,joint-efficiency"]) == 0
