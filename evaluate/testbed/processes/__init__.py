"""The processes of a testbed: one per device and per server, which run real layers and send real bytes.

Begin with `coordinator`, which starts them and collects what they measured. Each process runs `node`, which is told its
`job` and becomes a `device` or a `server`. Both run their share of a query by `segments`, at the speed of the node that
they play (`pacing`), wait for values in an `inbox`, and send by `shaping`, which asks the shared `ledger` when a
`channel` is free. `wire` says how messages look.
"""
