"""Carries out plans for real with three networks at two rates each, and prints the table of docs/results/testbed.md.

It needs torchvision, so an environment of its own (`make zoo`), and an idle machine. It takes about ten minutes:

    python examples/testbed_table.py --out results/testbed-table
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

RUNS = {
    # network: layers, seconds, queries per second, slowness of the device, rates of the uplink in Mbps
    "alexnet": (10, 40, 2.0, 16, (60, 120)),
    "resnet50": (16, 40, 1.0, 16, (30, 60)),
    "mobilenet_v2": (16, 20, 3.0, 24, (10, 20)),
}

SCENARIO = """\
horizon_s: {horizon_s}
servers:
  - {{name: edge, flops_per_s: 5e10, memory_bytes_per_s: 2e10}}
users:
  - name: phone
    network: {network}
    max_layers: {layers}
    device: {{flops_per_s: 4e9, memory_bytes_per_s: 2e9}}
    query_rate_hz: {rate_hz}
    links:
      edge: {{up_mbps: {mbps}, down_mbps: {down_mbps}, latency_s: 0.004}}
    profile:
      device: {{profile: this-machine, scale: {slowness}}}
      edge: {{profile: this-machine, scale: 3}}
"""


def main() -> None:
    """Run every network at every rate, and print a row for each planner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="new folder for the scenarios and the results")
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS), help="networks; by default all")
    parser.add_argument("--policies", default="joint-efficiency,front-to-back", help="planners, with commas between")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    print("| network | uplink | planner | measured [ms] | predicted [ms] | error | retold [ms] | error | late |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for network in options.only:
        layers, horizon_s, rate_hz, slowness, rates = RUNS[network]
        for mbps in rates:
            name = f"{network}-{mbps}"
            file = options.out / f"{name}.yaml"
            file.write_text(
                SCENARIO.format(
                    horizon_s=horizon_s,
                    network=network,
                    layers=layers,
                    rate_hz=rate_hz,
                    mbps=mbps,
                    down_mbps=2 * mbps,
                    slowness=slowness,
                )
            )
            command = [sys.executable, "-m", "evaluate", "testbed", "--scenario-file", str(file)]
            command += ["--policies", options.policies, "--out", str(options.out / name)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            for planner, run in json.loads((options.out / name / "testbed.json").read_text()).items():
                print(row(network, mbps, planner, run), flush=True)


def row(network: str, mbps: float, planner: str, run: dict[str, float]) -> str:
    """Return a row of the table: mean delays, and by how much the measured one exceeds each prediction."""
    measured_s, predicted_s, retold_s = (run[key] for key in ("measured_s", "predicted_s", "retold_s"))
    cells = (
        network,
        f"{mbps:g} Mbps",
        planner,
        f"{1e3 * measured_s:.1f}",
        f"{1e3 * predicted_s:.1f}",
        f"{100 * (measured_s / predicted_s - 1):+.1f} %",
        f"{1e3 * retold_s:.1f}",
        f"{100 * (measured_s / retold_s - 1):+.1f} %",
        f"{100 * run['late_share']:.0f} %",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
