"""`python -m evaluate report`: one page that needs nothing but itself, and says what the results say."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from evaluate.__main__ import main
from evaluate.compare.reading import read_evaluation
from evaluate.compare.replaying import replays, saved_scenarios
from evaluate.compare.summary_table import summary_rows
from evaluate.report import report
from evaluate.report.charts import MARKERS, charts
from evaluate.report.config import ReportConfig
from evaluate.report.episodes import LOADS, episodes

pytest.importorskip("bokeh", reason="needs the extra report")

POLICIES = ("front-to-back", "device-only", "ionn@replan")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    words = ["--family", "single", "--scenarios", "4", "--seed", "2", "--policies", ",".join(POLICIES), "--report"]
    assert main([*words, "--out", str(out)]) == 0
    return out


def text_of(page: str) -> str:
    """What is read where no script runs: without scripts, styles and tags, white space made one."""
    plain = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", plain)).split())


def test_the_page_needs_no_network_and_no_script(results: Path) -> None:
    page = (results / "report.html").read_text()
    assert re.findall(r"<(?:script|link|img|iframe)\b[^>]*\s(?:src|href)=\"(?!data:)", page) == []
    assert len(page) < 4_000_000
    text, evaluation = text_of(page), read_evaluation(results)
    for row in summary_rows(evaluation.figures):
        assert " ".join(" ".join(row).split()) in text
    assert "single: 4 scenarios, seed 2" in text and evaluation.command in text
    assert str(evaluation.made_with["versions"]["numpy"]) in text
    assert evaluation.made_with["machine"]["processor"] in text
    assert page.count("<img alt=") == 2 * len(POLICIES)
    assert "<noscript>" in page


def test_best_and_worst_scenarios_and_loads(results: Path) -> None:
    evaluation = read_evaluation(results)
    found = episodes(evaluation)
    assert found is not None
    for policy, rows in evaluation.rows.items():
        ranks = {row.scenario: (round(row.gap, 9), row.relative) for row in rows}
        assert found.best[policy].row.scenario == min(ranks, key=lambda number: ranks[number])
        assert found.worst[policy].row.scenario == max(ranks, key=lambda number: ranks[number])
    of_one = [each.usage for row, each in replays(evaluation, saved_scenarios(evaluation)) if row.policy == POLICIES[0]]
    mean = sum(float(usage.server_load.sum(axis=0).max()) for usage in of_one) / len(of_one)
    assert found.loads[POLICIES[0]]["server_load"] == pytest.approx(mean)
    assert found.loads["device-only"]["server_load"] == found.loads["device-only"]["uploading"] == 0.0
    text = text_of((results / "report.html").read_text())
    for policy in POLICIES:
        loads = [f"{found.loads[policy][name]:.1%}" for name in LOADS]
        assert " ".join([policy, *loads]) in text
        assert f"best: scenario {found.best[policy].row.scenario}" in text


def test_every_axis_says_what_it_shows_and_marks_differ(results: Path) -> None:
    evaluation = read_evaluation(results)
    plots = charts(evaluation, {policy: {"server": 0.5} for policy in evaluation.rows})
    labels = {name: (plot.xaxis.axis_label, plot.yaxis.axis_label) for name, plot in plots.items()}
    assert "(s)" in labels["means"][0] and "(s)" in labels["planning"][0]
    assert all(x for x, _ in labels.values())
    ranked = list(evaluation.figures)
    assert plots["means"].y_range.factors == plots["spread"].y_range.factors == ranked[::-1]
    for name in ("planning", "loads"):
        marks = [each.glyph.marker for each in plots[name].renderers if hasattr(each.glyph, "marker")]
        assert marks == list(MARKERS[: len(POLICIES)])
    assert len({str(each.glyph.line_dash) for each in plots["profile"].renderers}) == len(POLICIES)
    steps = {each.glyph: each.data_source.data for each in plots["profile"].renderers}
    for policy, data in zip(ranked, steps.values(), strict=True):
        ratios = sorted(row.delay_s / row.best_known_s for row in evaluation.rows[policy])
        assert data["x"][1:-1].tolist() == pytest.approx(ratios)
        assert data["y"].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_several_folders_and_results_without_plans(results: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(results, bare)
    shutil.rmtree(bare / "plans")
    (bare / "report.html").unlink()
    assert main(["report", str(bare)]) == 0
    text = text_of((bare / "report.html").read_text())
    assert "--save-plans" in text and "Best and worst scenarios" not in text
    assert main(["report", str(bare), str(results)]) == 2
    out = tmp_path / "both.html"
    assert main(["report", str(bare), str(results), "--out", str(out)]) == 0
    page = out.read_text()
    assert page.count("<h1>") == 2 and page.count("<img alt=") == 2 * len(POLICIES)
    with pytest.raises(ValueError, match="names no folder"):
        _ = ReportConfig(()).file


def test_names_are_text(results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    shutil.rmtree(copy / "plans")
    for name in ("summary.json", "records.csv"):
        text = (copy / name).read_text()
        (copy / name).write_text(text.replace("ionn@replan", "a<b>&c"))
    json.loads((copy / "summary.json").read_text())
    assert main(["report", str(copy)]) == 0
    page = (copy / "report.html").read_text()
    assert "<td>a&lt;b&gt;&amp;c</td>" in page and "<td>a<b>" not in page


def test_a_changed_plan_is_noticed(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    plans = copy / "plans"
    shutil.copy(plans / "device-only" / "1.json", plans / "front-to-back" / "1.json")
    assert main(["report", str(copy)]) == 2
    assert "records.csv says" in capsys.readouterr().err


def test_what_is_missing_is_said_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    words = ["--family", "toy", "--scenarios", "2", "--policies", "random", "--report", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    captured = capsys.readouterr()
    assert "pip install -e '.[report]'" in captured.err and captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
