"""Command line of the problem: trace, measure or list networks, draw scenarios, simulate plans, compile beforehand."""

from __future__ import annotations

import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dnnmig_env.compile_ahead import Compile
from dnnmig_env.files.command_line import exit_status, parsed, print_table, unknown_command
from dnnmig_env.replay import Simulate
from dnnmig_env.times import Times


@dataclass(frozen=True)
class Trace:
    """Trace a network into a layer graph, without weights or memory."""

    source: tyro.conf.Positional[str]
    """torchvision:NAME, timm:NAME, transformers:NAME, FILE.onnx, or package.module:callable (your own torch module)."""
    input_shape: tuple[str, ...] = ()
    """Shape of the input, e.g. 1 3 224 224; or each input in one word, e.g. 1x128:int64 1x128 scalar. For an ONNX file
    also sizes of dynamic dimensions and shapes of inputs by their names, e.g. sequence=128 image=1x3x224x224."""
    input_value: tuple[str, ...] = ()
    """Values of an ONNX file's inputs that decide which branch it takes, e.g. rate=16000 use_cache_branch=true."""
    state: tuple[str, ...] = ()
    """Inputs and outputs of an ONNX file that stay where they are used, e.g. "cache*"; none: nothing stays. By default
    inputs past* and outputs present* that belong together, as the cache of a language model."""
    input_bytes: tuple[int, ...] = ()
    """Bytes that are really sent for each input. By default the numbers that the network reads."""
    input_dtype: str | None = None
    """Type of the numbers that are sent for inputs of floating-point numbers, e.g. uint8 for images."""
    input_ratio: float | None = None
    """How many times smaller these inputs are sent by compression, e.g. 10 for JPEG with uint8."""
    on_device: tuple[str, ...] = ()
    """Layers that never leave the user's device, e.g. because what they read is private: "stem.*"."""
    max_layers: int | None = None
    """Fuse cheap layers, then merge neighbours until at most this many remain. By default keep every operator."""
    name: str | None = None
    """Name of the network. By default it follows from the source."""
    out: Path | None = None
    """JSON file to write. By default only the table is printed."""

    def run(self) -> None:
        """Trace the network, write its graph if a file is named, and print the graph."""
        from dnnmig_env.networks.graph_file import write_graph
        from dnnmig_env.networks.preprocessing import keep_fused_on_device, prepare
        from dnnmig_env.networks.printing import print_graph
        from dnnmig_env.networks.sent_input import Sent, with_sent_input
        from dnnmig_env.networks.sources import read_inputs, trace_source

        _check_layers(self.max_layers)
        inputs, given = read_inputs(self.source, self.input_shape, self.input_value, self.state)
        graph = trace_source(self.source, inputs, self.name, given)
        graph = keep_fused_on_device(graph, self.on_device)
        graph = with_sent_input(graph, Sent(self.input_bytes, self.input_dtype, self.input_ratio))
        if self.max_layers is not None:
            graph = prepare(graph, self.max_layers)
        if self.out is not None:
            write_graph(graph, self.out)
        print_graph(graph)


@dataclass(frozen=True)
class Measure:
    """Measure how long each layer takes on this machine, with random weights; scenarios accept this in place of FLOP/s.

    One thread of the processor is timed by process CPU time, which a busy machine disturbs less than the wall clock;
    several threads are timed by the wall clock, a GPU by its own events. The profile also states the time of the whole
    forward pass, measured without instruments. A scenario names the file under `profile:` (see
    dnnmig_env/scenarios/file/__init__.py).
    """

    source: tyro.conf.Positional[str]
    """torchvision:NAME, timm:NAME, transformers:NAME, or package.module:callable (your own torch module)."""
    input_shape: tuple[str, ...] = ()
    """Shape of the input, the batch first, e.g. 1 3 224 224; or each input in one word, e.g. 1x128:int64 1x128."""
    max_layers: int | None = None
    """Merge the fused layers until at most this many remain. By default only fuse: such a profile serves scenarios with
    any `max_layers`."""
    name: str | None = None
    """Name of the network. By default it follows from the source."""
    out: Path | None = None
    """JSON file to write. By default only the table is printed."""
    threads: int = 1
    """Threads that one operator may use on the processor."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where to run; auto is the GPU if there is one."""
    repeats: int = 20
    """Forward passes, with instruments and without, over which each round takes medians."""
    warm_up: int = 3
    """Forward passes, with instruments and without, that each round does first and does not count."""
    rounds: int = 3
    """Number of rounds; the one with the fastest whole forward pass counts."""
    pause_s: float = 0.0
    """Seconds between rounds. On a busy machine, more rounds with pauses may find a quiet moment."""
    machine: str | None = None
    """Name of the machine in your words. By default processor, cores and system."""

    def run(self) -> None:
        """Measure the network, write the profile if a file is named, and print the profile."""
        from dnnmig_env.networks.measured_profile import write_profile
        from dnnmig_env.networks.printing import print_profile
        from dnnmig_env.networks.profiling.measure import Effort
        from dnnmig_env.networks.sources import measure_source
        from dnnmig_env.networks.tracing import parse_inputs

        _check_layers(self.max_layers)
        inputs = parse_inputs(self.input_shape)
        if self.pause_s > 86400:
            raise ValueError(f"--pause-s is {self.pause_s}; give at most 86400, a day.")
        if self.out is not None and self.out.suffix != ".json":
            raise ValueError(f"--out is {self.out}; give a file whose name ends in .json.")
        effort = Effort(self.threads, self.device, self.repeats, self.warm_up, self.rounds, self.pause_s)
        profile = measure_source(
            self.source, inputs, self.name, self.max_layers, effort, self.machine, self._announce_round
        )
        if self.out is not None:
            write_profile(profile, self.out)
        print_profile(profile)

    def _announce_round(self, number: int) -> None:
        print(f"round {number} of {self.rounds}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Profiles:
    """List the measured profiles that come with the project."""

    def run(self) -> None:
        """Print one row per profile."""
        from dnnmig_env.networks.measured_profile import FOLDER, Elsewhere, read_profile, shipped

        rows: list[tuple[str, ...]] = [("profile", "network", "layers", "ms", "threads", "date", "machine")]
        for name in shipped():
            profile = read_profile(FOLDER / f"{name}.json")
            how = profile.measured
            what = (name, profile.network, str(len(profile.layers)), f"{profile.layers_s * 1e3:.1f}")
            threads, day = ("", how.read) if isinstance(how, Elsewhere) else (str(how.threads), how.date)
            rows.append((*what, threads, day, how.machine))
        print_table(rows)


@dataclass(frozen=True)
class Zoo:
    """Trace the networks of the zoo again and write their files."""

    only: tuple[str, ...] = ()
    """Networks to trace. By default all."""
    out: Path | None = None
    """Existing folder to write to. By default the zoo itself."""

    def run(self) -> None:
        """Trace all networks before writing any file, so that a failure leaves the zoo as it was."""
        from dnnmig_env.networks import zoo
        from dnnmig_env.networks.graph_file import write_graph
        from dnnmig_env.networks.sources import trace_source

        for name in self.only:
            zoo.check(name)
        graphs = []
        for name in self.only or zoo.networks():
            graphs.append(trace_source(zoo.SOURCES[name], name=name))
            print(f"traced {name}: {len(graphs[-1])} layers", flush=True)
        for graph in graphs:
            write_graph(graph, (self.out or zoo.FOLDER) / f"{graph.name}.json")


@dataclass(frozen=True)
class Networks:
    """List the networks of the zoo."""

    def run(self) -> None:
        """Print one row per network."""
        from dnnmig_env.networks import zoo
        from dnnmig_env.networks.printing import totals

        rows: list[tuple[str, ...]] = [("network", "layers", "fused", "M params", "GMAC", "input kB", "split")]
        for name in zoo.networks():
            graph = zoo.load(name)
            split = "test" if name in zoo.TEST_NETWORKS else "train"
            fused = len(zoo.load_prepared(name))
            rows.append((name, str(len(graph)), str(fused), *totals(graph), f"{graph.input_bytes / 1e3:.0f}", split))
        print_table(rows)


@dataclass(frozen=True)
class Draw:
    """Draw scenarios of a family and write each to a file, to be looked at, changed, or played with --scenario-file."""

    family: tyro.conf.Positional[str]
    """single, edge-cloud, multi-user, mobile, city, toy, a file such as my_family.yaml, or package.module:attribute."""
    out: Path
    """Folder to write to; files are named FAMILY-SEED-NUMBER.yaml, the number from 0 on."""
    scenarios: int = 1
    """How many. Fewer of the same seed are the first ones of more."""
    seed: int = 1
    """Seed of the scenarios, as of python -m evaluate."""
    option: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Options of the family's generator, such as num_users=4 or num_users=2,4."""

    def run(self) -> None:
        """Write the files; one that is there already is not replaced."""
        from dnnmig_env.families.registry import scenarios
        from dnnmig_env.files.named_values import named_values
        from dnnmig_env.scenarios.file import save_scenario

        if self.scenarios < 1:
            raise ValueError(f"--scenarios is {self.scenarios}; draw at least 1.")
        if self.seed < 0:
            raise ValueError(f"--seed is {self.seed}; it must not be negative.")
        drawn = scenarios(self.family, self.scenarios, self.seed, **named_values("--option", self.option))
        family = re.sub(r"\W+", "_", Path(self.family).stem) if ":" in self.family else Path(self.family).stem
        files = [self.out / f"{family}-{self.seed}-{number}.yaml" for number in range(self.scenarios)]
        for file in files:
            if file.exists():
                raise ValueError(f"{file} is there already; name another --out.")
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"--out is {self.out}, which cannot be used: {error.strerror}; name another folder."
            ) from None
        for file, scenario in zip(files, drawn, strict=True):
            save_scenario(scenario, file)
            print(file)


COMMANDS: dict[str, type[Any]] = {
    "trace": Trace,
    "profile": Measure,
    "times": Times,
    "profiles": Profiles,
    "zoo": Zoo,
    "networks": Networks,
    "draw": Draw,
    "simulate": Simulate,
    "compile": Compile,
}
"""The commands: the dataclass of each one's options."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status; a user's mistake is one line on stderr, see `exit_status`."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    return exit_status(lambda: _run(words))


def _run(words: list[str]) -> None:
    program = "python -m dnnmig_env"
    if words and words[0] in COMMANDS:
        command = parsed(COMMANDS[words[0]], f"{program} {words[0]}", words[1:])
        try:
            command.run()
        except SystemExit as stop:
            raise ValueError(f"what {words[0]} was given ended the program itself ({stop}); name another.") from None
    elif words and not words[0].startswith("-"):
        raise unknown_command(words[0], COMMANDS)
    else:  # prints the help, or says that a command is missing
        tyro.extras.subcommand_cli_from_dict(dict(COMMANDS), prog=program, description=__doc__, args=words)


def _check_layers(max_layers: int | None) -> None:
    if max_layers is not None and max_layers < 1:
        raise ValueError(f"--max-layers is {max_layers}; keep at least 1 layer.")


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `networks | head` must end without an error
    sys.exit(main())
