"""The command `paper`: what it writes and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evaluate.__main__ import main
from tests.evaluate.figures import assert_nothing_is_cut_off, drawn_figures
from tests.evaluate.papers.profiles import TINY, write_profiles


def run(folder: Path, out: Path, *arguments: str) -> int:
    return main(["paper", "--profiles", str(folder), "--out", str(out), *arguments])


def test_files_and_table_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles(tmp_path / "profiles")
    write_profiles(tmp_path / "profiles", TINY.replace(",20\n", ",\n").replace(",10\n", ",\n"), "unmeasured")
    out = tmp_path / "new" / "out"
    figures = drawn_figures(monkeypatch)
    assert run(tmp_path / "profiles", out, "--mbps", "20", "80") == 0
    result = json.loads((out / "paper.json").read_text())
    assert set(result) == {"rows", "improvements", "assumptions", "config", "versions", "machine"}
    assert len(result["rows"]) == 2 * 2 * 5
    row = next(
        row for row in result["rows"] if (row["network"], row["mbps"], row["method"]) == ("tiny", 80, "ionn-0.5")
    )
    assert (row["partitions"], row["queries_finished"]) == ([[0, 1], [2, 3]], 8)
    assert row["time_average_delay_ms"] == pytest.approx((1500 + 8 * 1130) / 9)
    assert result["config"]["mbps"] == [20, 80]
    assert sorted(path.name for path in out.iterdir()) == ["paper.json", "table.md", "tiny.png", "unmeasured.png"]
    assert (out / "tiny.png").read_bytes().startswith(b"\x89PNG")
    for figure in figures:
        assert_nothing_is_cut_off(figure)
    table, printed = (out / "table.md").read_text(), capsys.readouterr().out
    for text in (table, printed):
        assert "10 (3)" in text
        assert "unmeasured has no measured server times: 0.05 ms per layer assumed." in text
        assert "efficiency over ionn-0.5: up to" in text


def test_many_rates_are_drawn_in_a_few_panels(tmp_path: Path) -> None:
    rates = [str(rate) for rate in range(10, 90, 10)]
    assert run(write_profiles(tmp_path / "profiles"), tmp_path / "out", "--mbps", *rates) == 0


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        (None, [], "is no folder"),
        ("", [], "column 'block' is missing"),
        (TINY.replace("weight_bytes", "weights"), [], "column 'weight_bytes' is missing"),
        (TINY.replace("400,20", "fast,20"), [], "line 2, client_ms_odroid: 'fast'; must be a number"),
        (TINY.replace("400,20", "-4,20"), [], "line 2, client_ms_odroid: -4; must not be negative"),
        (TINY, ["--mbps", "0"], "--mbps has 0; every rate must be positive"),
        (TINY, ["--mbps", "nan"], "--mbps has nan"),
        (TINY, ["--mbps", "10", "10"], "--mbps has 10 twice"),
        (TINY, ["--mbps"], "--mbps names nothing"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, arguments: list[str], says: str
) -> None:
    folder = tmp_path / "profiles" if text is None else write_profiles(tmp_path / "profiles", text)
    assert run(folder, tmp_path / "out", *arguments) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_kept_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_profiles(tmp_path / "profiles"), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    assert run(folder, out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(folder, out, "--overwrite") == 0
    assert (out / "mine.txt").read_text() == "kept"
    assert (out / "paper.json").exists()


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, contextlib\n"
        "from evaluate.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main(['paper', '--help'])\n"
        "print('loaded', {'torch', 'numba', 'matplotlib', 'scipy'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "--profiles" in output
    assert "loaded set()" in output
