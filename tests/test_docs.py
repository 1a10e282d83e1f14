"""The site and the notebooks: pages made from code are fresh, what they show runs, and every page is in reach."""

from __future__ import annotations

import ast
import importlib
import json
import re
import runpy
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.planners import ORACLES, ORDER_PLANNERS, PLACEMENT_PLANNERS, PLANNERS
from dnnmig_env.families.registry import FAMILIES
from dnnmig_env.scenarios.file import load_scenario

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)): page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
RUNNABLE = ("guides/own-agent.md", "making/own-planner.md")
"""Pages whose Python runs as it stands."""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


def in_navigation(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [page for each in (entry.values() if isinstance(entry, dict) else entry) for page in in_navigation(each)]


def test_pages_made_from_code_are_what_the_code_says() -> None:
    written = runpy.run_path(str(DOCS / "write_reference.py"))["pages"]()
    assert len(written) == 3
    for name, text in written.items():
        assert text == PAGES[f"reference/{name}"], "run `python docs/write_reference.py`"


def test_the_page_of_families_explains_every_option_of_each() -> None:
    sections = PAGES["reference/families.md"].split("\n## ")
    for name, kind in FAMILIES.items():
        (section,) = (each for each in sections if each.startswith(f"`{name}`"))
        for option in fields(kind):  # type: ignore[arg-type]  # generators are dataclasses
            assert re.search(rf"^\| `{option.name}` \| .+ \| .{{10,}} \|$", section, re.MULTILINE), (name, option.name)


def test_the_page_of_commands_has_every_command_and_explains_every_option() -> None:
    text = PAGES["reference/commands.md"]
    for heading in ("python -m train", "python -m evaluate", "python -m evaluate show", "python -m dnnmig_env trace"):
        assert f"## `{heading}`\n" in text
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| `")]
    assert len(rows) > 100
    assert [row[0] for row in rows if len(row[2].rstrip(" |")) < 10] == []
    assert any(row[:2] == ["| `--held-out.scenarios NUMBER`", "`48`"] for row in rows)
    assert any(row[:2] == ["| `SOURCE`", "required"] for row in rows)


def test_every_page_is_in_the_navigation_once() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2])
    assert sorted(in_navigation(navigation)) == sorted(PAGES)


def test_every_page_is_linked_from_the_first_one() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+\.md)", PAGES["index.md"]))
    assert linked | {"index.md"} == set(PAGES)


@pytest.mark.parametrize("name", re.findall(r"^::: (\S+)$", PAGES["reference/python.md"], re.MULTILINE))
def test_what_the_page_of_python_shows_has_a_docstring(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert getattr(importlib.import_module(module), attribute).__doc__


def test_every_planner_has_a_row_that_says_how_sure_it_is() -> None:
    tables = PAGES["reference/planners.md"].partition("## Parameters")[0].splitlines()
    rows = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in tables if row.startswith("| `")]
    listed = [name.replace("-K", "-1") for name, *_ in rows]
    registered = [*PLANNERS, *ORACLES, "random", *PLACEMENT_PLANNERS, *ORDER_PLANNERS]
    assert sorted(listed) == sorted(registered)
    sure = r"(published|textbook|ours|([\w-]+ )?(partly )?reconstructed)\b"
    assert [name for name, _, _, last in rows if not re.match(sure, last)] == []


@pytest.mark.parametrize("page", RUNNABLE)
def test_python_on_pages_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), namespace)


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if page != "reference/scenario-files.md" and any("horizon_s:" in one for one in blocks(page, "yaml"))
    ],
)
def test_scenario_files_on_pages_are_read(page: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")  # paths of traces count from the folder of the file
    for number, block in enumerate(
        one for one in blocks(page, "yaml") if "horizon_s:" in one and "walk.csv" not in one
    ):
        (tmp_path / f"{number}.yaml").write_text(block)
        assert load_scenario(tmp_path / f"{number}.yaml").users


def test_the_pictures_of_concepts_are_drawn() -> None:
    drawn = runpy.run_path(str(DOCS / "draw_concepts.py"))
    for name in ("upload", "placement_and_order", "score"):
        assert drawn[name]().axes
    assert all((DOCS / "pictures" / f"{name}.png").stat().st_size < 100_000 for name in ("upload", "order", "score"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Cells are plain Python, so they run here one after another in one namespace, as a kernel would run them.

    That needs neither a kernel, which takes seconds to start, nor the two dozen packages that come with one.
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    monkeypatch.chdir(path.parent)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), "clear all outputs before saving"
            exec(compile(ast.parse(source), f"{path.name}, {cell['id']}", "exec"), namespace)
    delays_s = {name: float(value) for name, value in re.findall(r"(\S+) +(\S+) s per query", capsys.readouterr().out)}
    assert delays_s["joint-efficiency"] < 0.98 * delays_s["device-only"], "there is something to see"
    if path.stem == "my_network_on_my_cluster":
        assert delays_s["joint-efficiency"] < 0.98 * delays_s["front-to-back"]


def test_there_are_two_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_look", "my_network_on_my_cluster"]
