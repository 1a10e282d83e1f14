"""The command `workload`: how near constant rules come to the best known plan, and how heavily all is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agents.planners import planner
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.files.provenance import machine, versions
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.simulator import simulate
from evaluate.compare.progress import showing
from evaluate.output.folder import as_json, output_folder, write_folder
from evaluate.output.tables import markdown_table, print_table
from evaluate.workload.climb import best_known_delay_s
from evaluate.workload.config import WorkloadConfig
from evaluate.workload.constant_rules import constant_rules

SATURATED = 0.9
"""Load from which a server or a direction of the radio counts as saturated by queries alone."""

QUANTILES = (0.1, 0.5, 0.9)
"""The quantiles over scenarios that are printed of each load."""

LOADS = {
    "device": "busiest device",
    "server": "busiest server",
    "uplink": "uplink, data",
    "downlink": "downlink, data",
    "uploading": "uplink, weights",
    "skipped": "frames skipped",
    "slowdown": "slowdown",
}
"""What is noted of the use of each scenario, and its heading. `slowdown` is the greatest factor by which a user is
slowed anywhere at the end, `uploading` the share of the time in which weights are on their way."""


@dataclass(frozen=True)
class ScenarioWorkload:
    """What one scenario asks for.

    Attributes:
        rules: Mean delay of each constant rule divided by the best known one.
        use: The figures named in `LOADS`.
    """

    rules: dict[str, float]
    use: dict[str, float]

    @property
    def saturated(self) -> bool:
        """Whether queries alone need a server or a direction of the radio nearly all the time."""
        return max(self.use[name] for name in ("server", "uplink", "downlink")) > SATURATED


def run(config: WorkloadConfig) -> dict[str, Any]:
    """Measure families, print a table and write the files.

    Returns:
        The contents of `workload.json`.

    Raises:
        ValueError: If anything in the config is not valid; nothing has been written then.
    """
    names = config.names
    for name in names:
        make_generator(name)  # raises if there is no such family
    with output_folder(config.out, overwrite=config.overwrite):
        found: dict[str, list[ScenarioWorkload]] = {}
        with showing(len(names), config.scenarios) as show:
            for name in names:
                rng, found[name] = np.random.default_rng(config.seed), []
                for scenario in scenarios(name, config.scenarios, config.seed):
                    found[name].append(workload_of(scenario, rng))
                    show(name, len(found[name]))
        return _publish(config, found)


def workload_of(scenario: Scenario, rng: np.random.Generator) -> ScenarioWorkload:
    """Return what one scenario asks for; `rng` drives the search for a better plan."""
    packed, plan = pack([scenario]), planner("joint-efficiency")(scenario, rng)
    rules = dict(constant_rules(packed))
    delays_s = mean_delays_s(packed, plan_arrays([*rules.values()]))
    best_s = best_known_delay_s(packed, [*rules.values(), plan], rng)
    return ScenarioWorkload(dict(zip(rules, (delays_s / best_s).tolist(), strict=True)), _use(scenario, plan))


def _use(scenario: Scenario, plan: Plan) -> dict[str, float]:
    timeline = simulate(scenario, plan)
    usage = timeline.usage
    return {
        "device": float(usage.device_load.max()),
        "server": float(usage.server_load.sum(axis=0).max()),
        "uplink": float(usage.uplink_load.sum()),
        "downlink": float(usage.downlink_load.sum()),
        "uploading": usage.uploading,
        "skipped": float(usage.skipped.sum() / usage.raised.sum()),
        "slowdown": float(timeline.event_slowdown[-1].max()),
    }


def _figures(found: Sequence[ScenarioWorkload], near: float) -> dict[str, Any]:
    rules = {name: float(np.mean([each.rules.get(name, np.inf) <= near for each in found])) for name in _rules(found)}
    return {
        "any_rule_near": float(np.mean([min(each.rules.values()) <= near for each in found])),
        "best_rule": max(rules, key=lambda name: rules[name]),
        "rules_near": rules,
        "use": {name: np.quantile([each.use[name] for each in found], QUANTILES).tolist() for name in LOADS},
        "saturated": float(np.mean([each.saturated for each in found])),
    }


def _rules(found: Sequence[ScenarioWorkload]) -> list[str]:
    return list(dict.fromkeys(name for each in found for name in each.rules))


def _publish(config: WorkloadConfig, found: dict[str, list[ScenarioWorkload]]) -> dict[str, Any]:
    families = {name: _figures(each, config.near) for name, each in found.items()}
    result = {
        "families": families,
        "scenarios": {name: [asdict(row) for row in each] for name, each in found.items()},
        "config": {**asdict(config), "out": str(config.out)},
        "versions": versions(),
        "machine": machine(),
    }
    title = f"{config.scenarios} scenarios each, seed {config.seed}; loads: quantiles 10 / 50 / 90 %"
    headings, rows = ["", *families], _rows_of(families)
    text = f"**{title}**\n\n{markdown_table(headings, rows)}"
    try:
        write_folder(config.out, {"workload.json": as_json(result), "table.md": text})
    finally:
        print_table(title, headings, rows)
    print(f"written to {config.out}")
    return result


def _rows_of(families: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Return a row per figure, with a cell per family."""
    each = list(families.values())
    return [
        ["a rule is near the best known", *(f"{figures['any_rule_near']:.0%}" for figures in each)],
        ["the rule that is near most often", *(figures["best_rule"] for figures in each)],
        ["it is near", *(f"{figures['rules_near'][figures['best_rule']]:.0%}" for figures in each)],
        *([heading, *(_quantiles(figures["use"][name]) for figures in each)] for name, heading in LOADS.items()),
        ["saturated", *(f"{figures['saturated']:.0%}" for figures in each)],
    ]


def _quantiles(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)
