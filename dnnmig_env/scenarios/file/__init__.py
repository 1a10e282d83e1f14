"""Scenarios as YAML or JSON files: written by hand, or saved and read back to the last bit.

A file in full, with every key; those marked "=" may be left out and then have the value given there:

    family: custom                  # = custom; how reports group it
    uplink: priority                # = priority; weights give way to query data; or shared, or independent
    moves: true                     # = false; servers send weights on to others, and drop what nobody needs
    horizon_s: 20                   # length of the time considered
    slot_starts_s: [0, 5, 15]       # = one slot; or slot_s: 2.0
    servers:
      - name: edge
        tier: edge                  # = edge; or cloud
        flops_per_s: 1e12
        memory_bytes_per_s: 2e11
        layer_overhead_s: 2e-5      # = 0; per operator
        memory_bytes: 2e9           # = unlimited; for weights
      - {name: cloud, tier: cloud, flops_per_s: 8e12, memory_bytes_per_s: 9e11}
    backhaul:                       # between servers; numbers, or tables with a row per sending server
      mbps: 1000                    # = 1000; or bytes_per_s
      latency_s: 0.001              # = 0
      pairs:                        # = none; exceptions, both ways
        - {between: [edge, cloud], mbps: 20, latency_s: 0.03}
    default_link: {up_mbps: 40}     # = none; for each user and server without a link of their own
    users:
      - name: phone
        network: resnet50           # a network of the zoo, a path to an .onnx or .json file, or the layers (below)
        max_layers: 16              # = no merging
        input_dtype: uint8          # = as the network reads it; the numbers that are really sent, and
        input_ratio: 10             # = 1; how many times smaller they get, e.g. as JPEG; or input_bytes: 15000
        device: {flops_per_s: 5e9, memory_bytes_per_s: 1e10}  # as for a server; it has no name
        query_rate_hz: 2            # = 1; a number, or one per slot; 0 = not present
        links:                      # = the default link
          edge:
            up_mbps: [40, 10, 5]    # or up_bytes_per_s, or trace; a number, or one per slot
            down_mbps: 100          # = as up; or down_bytes_per_s
            latency_s: 0.004        # = 0; a number, or one per slot
            down_latency_s: 0.003   # = latency_s
          cloud: {trace: walk.csv, trace_offset_s: 30, latency_s: 0.03}  # see traces; offset = 0
        profile:                    # = the roofline; nodes whose seconds per layer were measured
          device: {profile: resnet50_xeon_core, scale: 4}  # a shipped one, its seconds times 4 (scale: = 1)
          edge: edge.json           # or a file; or this-machine, which only a testbed measures
        uploaded: {layer4.2.conv3..fc: edge}   # = none; layers, as merged, that a server holds at the start
        copies: {layer4.2.conv3..fc: [cloud]}  # = none; further servers that hold them, only with moves: true
        home: edge                  # = one channel for all; in whose cell the user is, a name, or one per slot
      - name: camera
        network:
          name: tiny
          input_bytes: 600000
          layers:                   # in topological order
            - {name: a, flops: 1e9, weight_bytes: 4e6, output_bytes: 2e6}
            - {name: b, flops: 1e9, weight_bytes: 4e6, output_bytes: 2e6, predecessors: [0]}  # = the layer before
        device: {flops_per_s: 2e9, memory_bytes_per_s: 8e9}
        home: [edge, edge, cloud]
        profile_s: [[0.1, 0.01, 0.002], [0.1, 0.01, 0.002]]  # instead of profile; a row per layer: device, servers
    mobility:                       # = none; what policies may know of where everybody is
      area_m: 1000                  # = 1000; side of the square
      servers: {edge: [200, 300]}   # = the centre
      users:
        phone: {positions_m: [[0, 0], [20, 0], [90, 0]], velocities_m_per_s: [10, 0]}  # = to the next position
        camera: {positions_m: [500, 500]}

Numbers are decimal (20, 0.5, 1e6), and whatever lies beyond the bounds in `dnnmig_env/scenarios/bounds.py`, such as two
million queries per second, is refused. Megabits are 10^6 bits. Paths are relative to the file's folder. A network from
the zoo or an ONNX file is fused first; a network given as layers is used as it is unless `max_layers` is given. Layers
may also have `internal_bytes` (= 0), `operators` (= 1), `shares` (= []) and `on_device` (= false), and their network
`inputs` and `outputs` (= []), see `layer_graph`; predecessor -1 is the first input of the network, -2 the second.

A user's `on_device: [conv1, "layer1.*"]` (= []) names layers, as traced, that never leave the device; what is fused
with them or shares their weights stays too. * stands for any characters.

What is sent of a network's input is by default what its first layers read, 32 bits per number for images. `input_dtype`
and `input_ratio` hold for inputs of floating-point numbers; `input_bytes` is a number, or a list with one per input.

An ONNX file with dynamic dimensions takes `input_shape: [1, 3, 224, 224]`, a list of these for several inputs, or sizes
by name: `{sequence: 128, image: [1, 3, 224, 224]}`. `input_values: {rate: 16000}` gives the value of an input on which
it branches, and `state: ["cache*"]` names the inputs and outputs that stay where they are used (= those of a language
model's cache, by their names past and present; [] = none).

`profile_s` has a row per layer of the network as it is traced, fused or merged; rows are merged like layers.
`python -m dnnmig_env profile` measures a profile on the machine that it runs on, `python -m dnnmig_env profiles` lists
those that come with the project. A profile of the fused layers serves any `max_layers`: a merged layer takes as long as
its parts together. Nodes without a profile follow the roofline; nodes with one need their rates all the same. In
place of a profile, `this-machine` has a testbed (`python -m evaluate testbed`) measure the layers before it runs them.

In this room, begin with `schema`, which says what a file may hold. `read` builds a scenario from that, with `network`
for a user's network, `profiles` for measured seconds and `places` for where everybody is, and `write` describes a
scenario in the same form.
"""

from __future__ import annotations

from pathlib import Path

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.strict_model import checked
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import FORMATS, write_json
from dnnmig_env.scenarios.file.profiles import Measure
from dnnmig_env.scenarios.file.read import scenario_of
from dnnmig_env.scenarios.file.schema import ScenarioForm
from dnnmig_env.scenarios.file.write import description_of
from dnnmig_env.scenarios.scenario import Scenario


def load_scenario(path: str | Path, measure: Measure | None = None) -> Scenario:
    """Read a scenario from a .yaml, .yml or .json file.

    Args:
        path: The file.
        measure: What measures layers on this machine where the file has `profile: this-machine`; by default nothing
            does, and such a file is refused.

    Raises:
        ValueError: If the file cannot be read or describes no valid scenario, in one line that names the file, the
            place in it, the value and the remedy.
    """
    path = Path(path)
    parse, _ = FORMATS[_suffix(path)]
    try:
        return scenario_of(
            checked(ScenarioForm, parse(read_text(path, "give an existing .yaml or .json file"))), path.parent, measure
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save_scenario(scenario: Scenario, path: str | Path) -> None:
    """Write a scenario to a .yaml, .yml or .json file in one go: a reader sees the old file or the new one.

    `load_scenario` then returns exactly the same numbers. A network is stored by name if the zoo prepares the same
    layers from it, else with all its layers. Rates that came from a trace are stored as numbers, one per slot.

    Raises:
        ValueError: If the file cannot be written, or has another suffix.
    """
    path = Path(path)
    _, write = FORMATS[_suffix(path)]
    replace_text(path, write(description_of(scenario)))


def scenario_json(scenario: Scenario) -> str:
    """Return what `save_scenario` writes to a .json file."""
    return write_json(description_of(scenario))


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        if path.is_dir():
            raise ValueError(f"{path}: it is a folder; name the scenario files in it.")
        raise ValueError(f"{path}: a scenario's file ends in {', '.join(FORMATS)}, not {suffix!r}; rename it.")
    return suffix
