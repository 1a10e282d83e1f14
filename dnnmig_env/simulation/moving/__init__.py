"""How weights move: which lane carries them at which rate, from where they come, and what makes room for them.

A *lane* carries one transfer at a time: the uplink of a cell, or the outgoing wire of a server. Lanes run side by side.
Begin with `transfers`, which says how transfers in flight are kept. `share` says what query data leave of a lane to
weights, `sources` from where a layer would come first, `holding` which servers hold a layer and which of them a user
uses, and `room` what is dropped when memory is short. Time passes in `dnnmig_env.simulation.dynamics`.
"""
