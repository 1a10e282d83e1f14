"""The policy network: the torch module that scores actions and estimates values (`agents.policy_networks.facts`)."""

WIDEST = 4096
"""Greatest length of an embedding."""
