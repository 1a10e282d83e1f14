"""Truth: a simulation in which every query is its own, against which the delays of the model are checked.

Begin with `evaluate.truth.simulation`, whose `play_out(scenario, plan)` returns an `Outcome`. It is a witness: written
from the model's description, it uses nothing of the compiled kernel. From what is given to what is concluded:

- `plain_scenario`: a scenario as plain Python numbers, and the stations that queries share.
- `course`: what one query does under an assignment, a graph of tasks.
- `prediction`: what users expect of a query (sections 3 and 4 of the model, written plainly).
- `choice` and `chooser`: where users' queries run, chosen at events.
- `station` and `uplink`: who gets how much of a server's or a channel's time, and how weights give way.
- `query_run`: one query on its way.
- `query_log` and `outcome`: what came of all queries.
- `simulation`: the clock and the processes: slots, users, uploads.
- `comparison`: one scenario, in the model and in the simulation.
- `verdict`: whether the model is as near as its description demands.
- `plans`, `config`, `tables`, `plots`, `truth`: the command `python -m evaluate truth`.
"""
