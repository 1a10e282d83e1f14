"""Shows how far an evaluation is: a bar in a terminal, and lines of text elsewhere, such as in the log of a job."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

EVERY_S = 10.0
"""Least seconds between two lines of the same policy."""


@contextmanager
def showing(policies: int, scenarios: int) -> Iterator[Callable[[str, int], None]]:
    """Show progress on stderr; yield a function that is told a policy and how many scenarios it has played by now.

    Args:
        policies: Number of policies.
        scenarios: Number of scenarios that each plays.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(scenarios)
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=policies * scenarios)
        counts: dict[str, int] = {}

        def show(policy: str, played: int) -> None:
            counts[policy] = played
            bar.update(task, description=policy, completed=sum(counts.values()))

        yield show


def _lines(scenarios: int) -> Callable[[str, int], None]:
    last: dict[str, float] = {}

    def show(policy: str, played: int) -> None:
        now_s = time.monotonic()
        if policy in last and played < scenarios and now_s - last[policy] < EVERY_S:
            return
        last[policy] = now_s
        print(f"{policy}: {played} of {scenarios} scenarios", file=sys.stderr, flush=True)

    return show
