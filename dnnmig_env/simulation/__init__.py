"""Simulation: carries out plans in scenarios; every delay in this project is computed in this room.

Begin with `simulator`, whose `simulate(scenario, plan)` returns a `Timeline`; then read `kernel` and `dynamics`, which
follow the rules of `docs/model.md`. The modules, from what is given to what is shown:

- `packed`: scenarios as padded arrays (`PackedScenarios`), the form in which compiled code reads them.
- `plan`: what is decided (`Plan`, which consists of `Upload`s), and the check that a plan fits a scenario.
- `radio`: the rate of the radio link between a user and an edge.
- `plan_arrays`: plans as arrays, the form in which compiled code reads them.
- `state`: the arrays that say where episodes stand.
- `contention`: how queries slow each other at servers and links, compiled.
- `kernel`: the delay of one query under an assignment of layers to nodes, compiled.
- `uplink`: what query data leave of the uplink to weights, compiled.
- `dynamics`: what happens as time passes: uploads, time slots, and what queries use; compiled.
- `play`: plays whole plans in compiled code, and computes the migration delay.
- `scenario_batch`: scenarios that are packed at once and built as objects only on request.
- `known_scenario`: what a planner may know of a scenario in the middle of an episode.
- `cold_start`: the delay of a query that is raised at time 0 and waits for its layers.
- `timelines`: what happened when a plan was carried out, with all figures of merit.
- `reserved`: users who have their own shares of the channel and of the servers.
- `simulator`: carries out one plan in one scenario.
- `viewer`: shows a timeline as a picture or as text.
- `plan_file`: plans, and what is to happen when, as JSON files.

One-letter names are left to compiled functions, where they mean the same everywhere. `b` is the index of a scenario
among the packed ones, `u` of a user, `v` of a layer, and `s` of a server, from 0 to S - 1; server s is node s + 1, as
node 0 is the user's device. `i` is a row of the state, which is one episode. `e` is the index of a predecessor edge,
which leads from a tensor to a layer that reads it. `k` is a counter, for example of plans or of uploads. Where one
letter is not enough, `j` and `n` are further counters and `w` is another user.
"""
