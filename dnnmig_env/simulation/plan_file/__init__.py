"""Plans as JSON files: what a policy decided, and what is to happen when, so that a deployment can follow it.

A file in full, with every key; those marked "=" may be left out and then have the value given there. (JSON has no
comments: they explain this listing only.)

    {
    "format": "dnnmig-plan",
    "version": 1,
    "policy": "joint-efficiency",       # = ""; who decided
    "scenario": {                       # for which the plan was made; it does not fit another one
      "family": "mobile",               # = "custom"
      "servers": ["west", "east"],      # in the order of the scenario
      "users": {"walker": "resnet50"},  # each user's network, in the order of the scenario
      "sha256": "8c1f..."               # = any; of all that the scenario consists of
    },
    "mean_delay_s": 0.0825,             # = any; mean query delay of the plan, see docs/model.md
    "moves": [                          # in the order in which they are to begin
      {
        "user": "walker",               # whose layers they are
        "server": "west",               # to which they go
        "layers": [                     # in the order in which they are sent; {"layer": "head"} may be written "head"
          {
            "layer": "stem",            # its name in the user's network
            "source": "device",         # = never sent; who sends it: the user's device, or a server by its name
            "start_s": 0.0,             # = never sent; when it begins to be sent
            "stop_s": 0.8,              # = never sent; when its last byte has arrived, or it is broken off
            "arrives": true             # = true; false if it is broken off, or still on its way at the horizon
          }
        ],
        "not_before_s": 0.0,            # = 0; the lane that it needs is kept idle until then
        "usable_s": 0.8                 # = never; from when on queries may use these layers, all at once
      }
    ],
    "placement": {                      # = any; which layers run on which server at last, the others on the device
      "walker": {"west": ["stem", "head"]}
    }
    }

What is decided is `moves` with `user`, `server`, `layers` and `not_before_s`; whoever replays or edits a plan needs no
more. Their order matters for each lane (the uplink of a radio cell, the wire of a server): a move begins when its lane
is idle and no earlier move waits for it (docs/model.md). All else is what the simulation of the plan says: `source`,
`start_s` and `stop_s` of each layer, `usable_s`, `mean_delay_s` and `placement`. Times are seconds from the beginning
of the scenario. A layer is called as in its user's network, as it was fused or merged for the scenario; weights that
several layers share belong to one of them, and are sent under its name.

`placement` is what the queries of each user run at last: at the horizon, or when the user leaves. It names layers
without weights, too, which no move needs to send.

`sha256` is that of the scenario in the form of a file, without the free text `origin` of its networks. Users, servers
and networks of other names, and another sha256, are refused. To try a plan in a scenario that differs in something
else, such as its links, remove `sha256` and `mean_delay_s`.

`version` grows when a file of the new version cannot be read by the programs of before; it is 1.

In this room, `schema` says what a file may hold, `identity` of which scenario a plan is, `write` describes what was
decided and what happened, and `read` finds the names in a scenario.
"""

from __future__ import annotations

from pathlib import Path

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import parse_json
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan_file.read import SavedPlan, plan_in
from dnnmig_env.simulation.plan_file.schema import checked_form
from dnnmig_env.simulation.plan_file.write import plan_text
from dnnmig_env.simulation.timelines.timeline import Timeline


def save_plan(timeline: Timeline, path: str | Path, policy: str = "") -> None:
    """Write the plan of a timeline, and what happened, to a JSON file in one go.

    Args:
        timeline: What happened when the plan was carried out, as `simulate` returned it.
        path: The file; one that is there is replaced.
        policy: Who decided.

    Raises:
        ValueError: If the file cannot be written.
    """
    replace_text(Path(path), plan_text(timeline, policy))


def load_plan(path: str | Path, scenario: Scenario) -> SavedPlan:
    """Read a plan for a scenario from a JSON file.

    Raises:
        ValueError: If the file cannot be read, holds no plan, or one of another scenario; in one line that names the
            file, the place in it, the value and the remedy.
    """
    path = Path(path)
    try:
        return plan_in(checked_form(parse_json(read_text(path, "give an existing .json file"))), scenario)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
