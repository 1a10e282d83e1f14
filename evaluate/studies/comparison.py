"""A study that trains agents: trains those that are missing, plays every row of its table, and compares the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

from dnnmig_env.arrays import Floats
from dnnmig_env.families.registry import make_generator, scenarios
from evaluate.compare.record import Record
from evaluate.output.journal import Journal
from evaluate.parallel import results_of
from evaluate.studies.config import StudyConfig
from evaluate.studies.playing import played_s
from evaluate.studies.runs import Run, check_run, finished_run, steps_of
from evaluate.studies.seed_statistics import SeededFigures, seeded_figures
from evaluate.studies.variants import BASELINE, Agent, Study

HEADINGS = ("variant", "steps", "delay [s]", "IQM", "95 %", "mean", "95 %")
"""Headings of the table. IQM and mean are relative to the reference, which the title names."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The results of a study.

    Attributes:
        study: The study.
        delays_s: Mean query delays of each row, shape (K, N), for K training seeds (1 for planners) and N scenarios.
        steps: Number of decisions on which the agent of each row was trained, the mean over seeds; planners have none.
        seed: Seed of the resampling.
    """

    study: Study
    delays_s: Mapping[str, Floats]
    steps: Mapping[str, float]
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Return the contents of study.json: the figures of each row, and a record per row, seed and scenario."""
        variants = {
            name: {"policy": self.study.rows[name], "steps": self.steps.get(name), **asdict(figures)}
            for name, figures in self.figures().items()
        }
        return {"reference": BASELINE, "variants": variants, "records": list(self._records())}

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of text per variant, in the study's order, under `HEADINGS`."""
        return [self._row(name, figures) for name, figures in self.figures().items()]

    def figures(self) -> dict[str, SeededFigures]:
        """Return the figures of every row."""
        return seeded_figures(self.delays_s, BASELINE, self.seed)

    def _records(self) -> Iterator[dict[str, Any]]:
        reference_s = self.delays_s[BASELINE][0]
        for name, table_s in self.delays_s.items():
            for training_seed, row_s in enumerate(table_s):
                for scenario, delay_s in enumerate(row_s):
                    yield {
                        "variant": name,
                        "training_seed": training_seed if name in self.steps else None,
                        "scenario": scenario,
                        "mean_delay_s": float(delay_s),
                        "relative": float(delay_s / reference_s[scenario]),
                    }

    def _row(self, name: str, each: SeededFigures) -> tuple[str, ...]:
        return (
            name,
            f"{self.steps[name]:.0f}" if name in self.steps else "",
            f"{each.mean_delay_s:.3f}",
            f"{each.iqm:.3f}",
            _interval(each.iqm_ci95),
            f"{each.ratio:.3f}",
            _interval(each.ratio_ci95),
        )


def train_and_compare(
    study: Study, config: StudyConfig, say: Callable[[str], None], journal: Journal[Record] | None = None
) -> Comparison:
    """Train the agents of a study, or take the runs that exist, and play all rows in the same scenarios.

    Args:
        study: The study.
        config: The numbers, the family, and the folder whose `runs` receives the training runs.
        say: Receives a line of text per training run and row.
        journal: Keeps the records, and knows those of earlier; by default nothing does.

    Raises:
        ValueError: If the family is unknown, or a run that exists was trained otherwise.
    """
    generator = make_generator(config.family)
    runs: dict[str, dict[int, Run]] = {name: {} for name in study.agents}
    wanted_steps = {}
    for name, number, lines in results_of(partial(_steps, config), list(study.agents.items()), config):
        wanted_steps[name] = number
        for line in lines:
            say(line)
    wanted = [
        (seed, name, agent, wanted_steps[name])
        for seed, (name, agent) in product(range(config.seeds), study.agents.items())
    ]
    for seed, name, agent, number in wanted:
        check_run(name, agent, seed, config.family, number, config.runs)
    for seed, name, run, lines in results_of(partial(_finished, config), wanted, config):
        runs[name][seed] = run
        for line in lines:
            say(line)
    given = scenarios(config.family, config.scenarios, config.seed)
    delays_s, steps = {}, {}
    for row, policy in study.rows.items():
        agent_name = study.agent_in(row)
        of_row = [runs[agent_name][seed] for seed in range(config.seeds)] if agent_name else []
        names = [policy.replace(f"{{{agent_name}}}", str(run.model)) for run in of_row] or [policy]
        delays_s[row] = played_s(names, generator, given, config.seed, journal, "", config)
        if of_row:
            steps[row] = sum(run.steps for run in of_row) / len(of_row)
        say(f"played {row}: mean delay {delays_s[row].mean():.3f} s")
    return Comparison(study, delays_s, steps, config.seed)


def _steps(config: StudyConfig, named: tuple[str, Agent]) -> tuple[str, int, list[str]]:
    """Return an agent's name, on how many decisions it is trained, and lines to say of it.

    A worker calls this while others measure, so that the pace is that of a worker beside others.
    """
    (name, agent), said = named, list[str]()
    return name, steps_of(name, agent, config, said.append), said


def _finished(config: StudyConfig, wanted: tuple[int, str, Agent, int]) -> tuple[int, str, Run, list[str]]:
    """Return a seed, the name of an agent, its training run, and lines to say of it; a worker calls this."""
    (seed, name, agent, steps), said = wanted, list[str]()
    run = finished_run(name, agent, seed, config.family, steps, config.runs, said.append)
    return seed, name, run, said


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:.3f} - {bounds[1]:.3f}"
