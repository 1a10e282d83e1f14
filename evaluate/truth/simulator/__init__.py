"""The simulation in which every query is its own: a witness that uses nothing of the compiled kernel.

Begin with `evaluate.truth.simulator.simulation`, whose `play_out(scenario, plan)` returns an `Outcome`. The modules,
from what is given to what came of it:

- `plain_scenario`: a scenario as plain Python numbers, and the stations that queries share.
- `course`: what one query does under an assignment, a graph of tasks.
- `prediction`: what users expect of a query (sections 3 and 4 of the model, written plainly).
- `choice` and `chooser`: where users' queries run, chosen at events.
- `station` and `uplink`: who gets how much of a server's or a channel's time, and how weights give way.
- `stations`: all of them, and which of them a user meets in its present cell.
- `holdings` and `transfers`: which weights servers hold, and how they come there.
- `query_run`: one query on its way.
- `query_log` and `outcome`: what came of all queries.
- `simulation`: the clock and the processes: slots, users, weights.
"""
