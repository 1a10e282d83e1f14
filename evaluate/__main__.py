"""The command `python -m evaluate`: compares policies, reproduces papers, runs studies, measures speed, publishes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import tyro

from evaluate.compare.config import Config
from evaluate.papers.eosdnn.config import EosdnnConfig
from evaluate.papers.ionn.config import PaperConfig
from evaluate.papers.mjoa_mu.config import MjoaMuConfig
from evaluate.publish.config import PublishConfig
from evaluate.speed.config import SpeedConfig
from evaluate.studies.config import StudyConfig

COMMANDS: dict[str, tuple[type[Any], str, str]] = {
    "eosdnn": (EosdnnConfig, "evaluate.papers.eosdnn.eosdnn", "reproduce"),
    "mjoa-mu": (MjoaMuConfig, "evaluate.papers.mjoa_mu.mjoa_mu", "reproduce"),
    "paper": (PaperConfig, "evaluate.papers.ionn.ionn", "reproduce"),
    "publish": (PublishConfig, "evaluate.publish.publish", "publish"),
    "speed": (SpeedConfig, "evaluate.speed.speed", "measure"),
    "study": (StudyConfig, "evaluate.studies.study", "run"),
}
"""The commands beside the comparison: the dataclass of their options, then the module and the function that run
them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 after a user's mistake (one line on stderr), 130 after Ctrl-C."""
    # Set before torch is imported: policy networks are so small that its threads would mostly wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    program, config, module, function = "python -m evaluate", Config, "evaluate.compare.compare", "compare"
    if arguments and arguments[0] in COMMANDS:
        program, (config, module, function) = f"{program} {arguments[0]}", COMMANDS[arguments[0]]
        arguments = arguments[1:]
    try:
        chosen = tyro.cli(config, prog=program, args=arguments)
        getattr(import_module(module), function)(chosen)
    except ValueError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
