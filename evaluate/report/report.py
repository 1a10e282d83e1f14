"""The command `report`: reads results, replays their plans and writes one page."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dnnmig_env.files.atomic_file import replace_text
from evaluate.compare.reading import read_evaluation
from evaluate.report.config import ReportConfig
from evaluate.report.episodes import episodes
from evaluate.report.page import page


def report(config: ReportConfig) -> Path:
    """Write the page that a command line asks for.

    Returns:
        The file that was written.

    Raises:
        ValueError: If the results cannot be read, the file cannot be written, or Bokeh is not installed.
    """
    check_installed()
    file = config.file
    found = [read_evaluation(folder) for folder in config.folders]
    replace_text(file, page([(evaluation, episodes(evaluation)) for evaluation in found]))
    print(f"report written to {file}")
    return file


def check_installed() -> None:
    """Check before a long evaluation that its report can be made.

    Raises:
        ValueError: If Bokeh or Jinja2 is not installed.
    """
    for module in ("bokeh", "jinja2"):
        if find_spec(module) is None:
            raise ValueError(f"a report needs {module}, which is not installed; run: pip install -e '.[report]'")
