"""The command `python -m dnnmig_env times`: makes profiles from seconds per layer that were measured elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from dnnmig_env.files.suggestion import suggestion


@dataclass(frozen=True)
class Times:
    """Make profiles from a graph and a CSV file of seconds per layer that were measured elsewhere.

    The CSV file has the columns name, node (the kind of node, such as phone or edge) and seconds (or ms, us). There is
    one profile per kind of node, which scenarios accept in place of FLOP/s.
    """

    network: tyro.conf.Positional[str]
    """A network of the zoo, or a .json file that trace wrote."""
    times: tyro.conf.Positional[Path]
    """CSV file with the columns name, node and seconds; name is that of a layer as traced, fused or merged."""
    node: str | None = None
    """Kind of node of which to make a profile. By default all that the file has."""
    max_layers: int | None = None
    """Number of layers to which the network was merged, if the CSV file names such layers."""
    machine: str | None = None
    """Name of the machine in your words. By default the kind of node."""
    out: Path | None = None
    """JSON file to write; with several kinds of nodes, the folder for a file of each. By default only print."""

    def run(self) -> None:
        """Write the profiles, if a file or folder is named, and print them."""
        from dnnmig_env.networks.foreign_times import as_file, find_graph, read_times
        from dnnmig_env.networks.measured_profile import write_profile
        from dnnmig_env.networks.printing import print_profile

        profiles = read_times(find_graph(self.network), self.times, self.max_layers, self.machine)
        if self.node is not None:
            if self.node not in profiles:
                raise ValueError(f"--node is {self.node!r}; {suggestion(self.node, profiles)}")
            profiles = {self.node: profiles[self.node]}
        files: dict[str, Path] = {}
        if self.out is not None and len(profiles) == 1 and self.out.suffix == ".json":
            files = dict.fromkeys(profiles, self.out)
        elif self.out is not None:
            if not self.out.is_dir():
                raise ValueError(
                    f"--out is {self.out}; give an existing folder for the profiles of {', '.join(profiles)}, or "
                    "choose one by --node and give a file whose name ends in .json."
                )
            files = {node: self.out / f"{profile.network}_{as_file(node)}.json" for node, profile in profiles.items()}
        for node, profile in profiles.items():
            if node in files:
                write_profile(profile, files[node])
            print_profile(profile)
