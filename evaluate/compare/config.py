"""What the command line of the evaluation says, as one dataclass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro

from agents.policies.name import ModelName, parse_policy_name

Objective = Literal["mean-delay", "cold-start"]


@dataclass(frozen=True)
class Config:
    """Compare policies on the same scenarios: how long do queries take, on average over each scenario's horizon?

    A table is printed; `--out` receives summary.json, records.csv (a row per policy and scenario), table.md, delays.png
    and config.json. `python -m evaluate speed --help` tells of the benchmark.
    """

    policies: str
    """Names with commas between: planners, random, paths of models. NAME@replan plans anew at each decision,
    NAME@forecast does so from the links expected of users who keep their course. pretrained is the trained agent that
    comes with the project for the family. NAME@64 plans with a trained model by the best of 64 samples. Paths of
    models contain "/" or end in .zip."""
    out: Path
    """Folder to write to."""
    family: str = "multi-user"
    """single, edge-cloud, multi-user, mobile or toy. With files: the one that models were trained on, or custom."""
    scenarios: int = 50
    """Number of scenarios to draw."""
    seed: int = 1
    """Seed of the scenarios and of whatever is random in the policies."""
    decisions: Literal["joint", "two-phase"] = "joint"
    """Place and order in one decision, or place all layers before the first upload."""
    objective: Objective = "mean-delay"
    """Compare the mean delay of queries over the horizon, or the delay of a first query that waits for its layers."""
    scenario_file: tuple[Path, ...] = ()
    """Scenario files (YAML or JSON) to play instead of drawn scenarios."""
    networks: Literal["default", "train", "test", "all"] = "default"
    """Which networks of the zoo users have. By default those of the family."""
    option: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Further options of the family's generator, such as num_users=4 or num_users=2,4."""
    samples: int = 0
    """Play each trained model a second time, as NAME@SAMPLES: plan once by the best of so many samples. 0: do not."""
    overwrite: bool = False
    """Write into a folder that is not empty; files of an earlier evaluation are replaced."""

    @property
    def policy_names(self) -> tuple[str, ...]:
        """The policies' names, in the order given; after each trained model that with samples, if asked for.

        Raises:
            ValueError: If a name is empty or stands there twice, or samples are asked for where none can be drawn.
        """
        names = separate_names(self.policies)
        return names if self.samples == 0 else _with_samples(names, self.samples)

    @property
    def generator_options(self) -> dict[str, Any]:
        """The generator's options, values read as numbers where they are.

        Raises:
            ValueError: If an option is not written NAME=VALUE.
        """
        options: dict[str, Any] = {} if self.networks == "default" else {"networks": self.networks}
        for text in self.option:
            name, equals, value = text.partition("=")
            if not (name and equals and value):
                raise ValueError(f"--option is {text!r}; write NAME=VALUE, such as num_users=4.")
            values = [_number_or_text(part) for part in value.split(",")]
            options[name.replace("-", "_")] = values[0] if len(values) == 1 else tuple(values)
        return options


def separate_names(policies: str) -> tuple[str, ...]:
    """Return the names in --policies.

    Raises:
        ValueError: If a name is empty or stands there twice.
    """
    names = tuple(name.strip() for name in policies.split(","))
    for index, name in enumerate(names):
        if not name:
            raise ValueError(f"--policies is {policies!r}; give names with single commas between them.")
        if name in names[:index]:
            raise ValueError(f"--policies has {name!r} twice; name every policy once.")
    return names


def _with_samples(names: tuple[str, ...], samples: int) -> tuple[str, ...]:
    if samples < 1:
        raise ValueError(f"--samples is {samples}; give 1 or more, or leave it out.")
    more: list[str] = []
    for name in names:
        model, sampled = parse_policy_name(name), f"{name}@{samples}"
        of_model = isinstance(model, ModelName) and not model.samples and sampled not in names
        more += [name, sampled] if of_model else [name]
    if not any(isinstance(parse_policy_name(name), ModelName) for name in names):
        raise ValueError(f"--samples is {samples}, but --policies names no trained model; name one or leave it out.")
    return tuple(more)


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


Part = Literal["env", "training", "kernel", "pso-ga", "pymoo", "local-search"]


@dataclass(frozen=True)
class SpeedConfig:
    """Measure how fast environments, training, the kernel and searches are on this machine; tables and a JSON file.

    Every figure is the median of repeats; compilation is not counted. Leave the machine alone meanwhile.
    """

    out: Path
    """JSON file to write."""
    parts: str = "env,training,kernel,pso-ga,pymoo,local-search"
    """What to measure, with commas between."""
    seconds: float = 2.0
    """Length of each measurement of a rate, repeats included."""
    repeats: int = 5
    """Repeats of each measurement."""
    threads: int = 2
    """Threads of the batched environment and the kernel; at most the machine's cores are used."""

    @property
    def chosen_parts(self) -> tuple[Part, ...]:
        """The parts to measure.

        Raises:
            ValueError: If one is not known.
        """
        names = tuple(name.strip() for name in self.parts.split(","))
        for name in names:
            if name not in get_args(Part):
                raise ValueError(f"--parts has {name!r}; choose from {', '.join(get_args(Part))}.")
        return tuple(part for part in get_args(Part) if part in names)


@dataclass(frozen=True)
class PaperConfig:
    """Replay published layer profiles: how fast do queries get while a network is uploaded by IONN, efficiency or LMU?

    One device, one server, queries back to back; all over the time that uploading the whole network takes. Tables are
    printed; `--out` receives paper.json (a row per network, rate and method), table.md and a picture per network.
    """

    profiles: Path
    """Folder with a CSV file per network, a row per block: block, last_layer, n_layers, in_bytes, out_bytes,
    weight_bytes, client_ms_odroid, server_ms_gpu (all empty: 0.05 ms per layer)."""
    out: Path
    """Folder to write to."""
    mbps: tuple[float, ...] = (10.0, 20.0, 40.0, 80.0, 160.0)
    """Rates, up and down; 1 Mbps is 1024 * 1024 / 8000 bytes per ms, as in the published code."""
    overwrite: bool = False
    """Write into a folder that is not empty; files of an earlier replay are replaced."""

    @property
    def rates_mbps(self) -> tuple[float, ...]:
        """The rates, in the order given.

        Raises:
            ValueError: If there is none, one stands there twice, or one is not positive and finite.
        """
        for index, rate in enumerate(self.mbps):
            if not 0 < rate < math.inf:
                raise ValueError(f"--mbps has {rate:g}; every rate must be positive and finite.")
            if rate in self.mbps[:index]:
                raise ValueError(f"--mbps has {rate:g} twice; name every rate once.")
        if not self.mbps:
            raise ValueError("--mbps is empty; give at least one rate.")
        return self.mbps


@dataclass(frozen=True)
class EosdnnConfig:
    """Measure what EosDNN claims: how good are PSO-GA's placements, and how fast are queries while LMU uploads?

    Placements are compared by their migration delay with other searches (at equal numbers of evaluations), rules and,
    where scenarios are small, the optimum; upload orders with IONN's on the same placement. Tables are printed; `--out`
    receives eosdnn.json, table.md and eosdnn.png.
    """

    out: Path
    """Folder to write to."""
    scenarios: int = 30
    """Number of scenarios to draw for each table."""
    seed: int = 1
    """Seed of the scenarios and of the searches."""
    iterations: int = 1000
    """Iterations of each search, with 100 particles."""
    overwrite: bool = False
    """Write into a folder that is not empty; files of an earlier run are replaced."""

    def check(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is too small.
        """
        for name, least in (("scenarios", 1), ("seed", 0), ("iterations", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be at least {least}.")


@dataclass(frozen=True)
class MjoaMuConfig:
    """Measure what MJOA-MU claims: how much faster are cold starts when uploads go on while layers execute?

    One user before one edge on a grid of networks, access rates and machines, against serial uploading; then several
    users with ARA's shares against equal ones. PBT-DP places for all of them. Tables are printed; `--out` receives
    mjoa_mu.json (a row per setting), table.md and mjoa_mu.png.
    """

    out: Path
    """Folder to write to."""
    networks: tuple[str, ...] = (
        "alexnet",
        "vgg16",
        "resnet50",
        "inception_v3",
        "mobilenet_v2",
        "vit_b_16",
        "swin_t",
        "bert_base",
        "gpt2",
        "whisper_tiny_encoder",
    )
    """Networks of the zoo."""
    layers: int = 32
    """Layers to which networks are merged at most."""
    mbps: tuple[float, ...] = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1000.0)
    """Access rates of one user, either way; several draw theirs from 10 to 160 Mbps, and from 100 to 1000 Mbps."""
    edge_tflops: tuple[float, ...] = (0.2, 0.6, 2.0)
    """Speeds of the edge in TFLOP/s; for several users drawn between the least and the greatest."""
    device_gflops: tuple[float, ...] = (1.0, 5.0, 20.0)
    """Speeds of devices in GFLOP/s; for several users drawn between the least and the greatest."""
    users: tuple[int, ...] = (2, 3, 4, 5, 6)
    """Numbers of users of one edge."""
    scenarios: int = 20
    """Number of scenarios to draw for each number of users."""
    seed: int = 1
    """Seed of the scenarios."""
    overwrite: bool = False
    """Write into a folder that is not empty; files of an earlier run are replaced."""

    def check(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If there is nothing to measure, or a number is too small.
        """
        for name in ("networks", "mbps", "edge_tflops", "device_gflops", "users"):
            if not getattr(self, name):
                raise ValueError(f"--{name.replace('_', '-')} is empty; give at least one.")
        for name in ("mbps", "edge_tflops", "device_gflops"):
            if not all(0 < value < math.inf for value in getattr(self, name)):
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}; give positive numbers.")
        for name, least in (("layers", 1), ("scenarios", 1), ("seed", 0), ("users", 1)):
            given = getattr(self, name)
            if min(given) < least if name == "users" else given < least:
                raise ValueError(f"--{name} is {given}; it must be at least {least}.")
