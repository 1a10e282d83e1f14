"""The command `python -m evaluate`: compares policies, reproduces papers, runs studies, checks the model, publishes."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from dnnmig_env.files.command_line import exit_status, parsed, unknown_command
from dnnmig_env.files.quick_imports import quick_imports
from evaluate.benchmark.config import BenchmarkConfig
from evaluate.compare.config import Config
from evaluate.dataset.config import DatasetConfig
from evaluate.papers.eosdnn.config import EosdnnConfig
from evaluate.papers.ionn.config import PaperConfig
from evaluate.papers.mjoa_mu.config import MjoaMuConfig
from evaluate.publish.config import PublishConfig
from evaluate.report.config import ReportConfig
from evaluate.show.config import ShowConfig
from evaluate.speed.config import SpeedConfig
from evaluate.studies.config import StudyConfig
from evaluate.testbed.config import TestbedConfig
from evaluate.truth.config import TruthConfig
from evaluate.workload.config import WorkloadConfig

COMMANDS: dict[str, tuple[type[Any], str, str]] = {
    "benchmark": (BenchmarkConfig, "evaluate.benchmark.benchmark", "benchmark"),
    "dataset": (DatasetConfig, "evaluate.dataset.dataset", "record"),
    "eosdnn": (EosdnnConfig, "evaluate.papers.eosdnn.eosdnn", "reproduce"),
    "mjoa-mu": (MjoaMuConfig, "evaluate.papers.mjoa_mu.mjoa_mu", "reproduce"),
    "paper": (PaperConfig, "evaluate.papers.ionn.ionn", "reproduce"),
    "publish": (PublishConfig, "evaluate.publish.publish", "publish"),
    "report": (ReportConfig, "evaluate.report.report", "report"),
    "show": (ShowConfig, "evaluate.show.show", "show"),
    "speed": (SpeedConfig, "evaluate.speed.speed", "measure"),
    "study": (StudyConfig, "evaluate.studies.study", "run"),
    "testbed": (TestbedConfig, "evaluate.testbed.testbed", "run_testbed"),
    "truth": (TruthConfig, "evaluate.truth.truth", "check_truth"),
    "workload": (WorkloadConfig, "evaluate.workload.workload", "run"),
}
"""The commands beside the comparison: the dataclass of their options, then the module and the function that run
them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status; a user's mistake is one line on stderr, see `exit_status`."""
    # Set before torch is imported: policy networks are so small that its threads would mostly wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    words = sys.argv[1:] if arguments is None else list(arguments)
    return exit_status(lambda: _run(words), interrupted="interrupted: nothing was written.")


def _run(words: list[str]) -> None:
    program, config, module, function = "python -m evaluate", Config, "evaluate.compare.compare", "compare"
    description = None
    if words and words[0] in COMMANDS:
        program, (config, module, function) = f"{program} {words[0]}", COMMANDS[words[0]]
        words = words[1:]
    elif words and not words[0].startswith("-"):
        raise unknown_command(words[0], COMMANDS)
    else:
        description = f"{inspect.cleandoc(Config.__doc__ or '')}\n\n{_further()}"
    chosen = parsed(config, program, words, description)
    reports = isinstance(chosen, Config) and chosen.report
    if reports:
        import_module("evaluate.report.report").check_installed()
    with quick_imports():
        run = getattr(import_module(module), function)
    run(chosen)
    if reports:
        import_module("evaluate.report.report").report(ReportConfig((chosen.out,)))


def _further() -> str:
    """Return a list of the commands beside the comparison, with the first sentence of each one's help."""
    lines = [f"  {name}: {(kind.__doc__ or '').strip().splitlines()[0]}" for name, (kind, _, _) in COMMANDS.items()]
    return "\n".join(["Further commands, each with a --help of its own:", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
