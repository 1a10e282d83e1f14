"""Draw: the parts of which the families' generators consist; each draws something for a whole batch of scenarios.

Begin with `batch`: a generator draws `Participants` and `SlotConditions` and turns them into a `ScenarioBatch`.
`participants` draws users and servers, with `network_table` and `machines`; `links`, `recorded_rates` and `mobility`
draw what holds in each slot; `ranges` checks the options and draws numbers.
"""
