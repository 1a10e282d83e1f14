"""Policy networks: the torch modules that score actions and estimate values.

Begin with `agents.policy_networks.make`, which says which network sees which observations.
`agents.policy_networks.facts` is the network for plain facts; the one for candidates is `agents.candidates.network`.
"""

WIDEST = 4096
"""Greatest length of an embedding."""
