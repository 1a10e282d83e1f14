"""Who decides: planners, trained policy networks, and the one interface through which both act.

Begin with `agents.policies.policy`, the interface, and `agents.policies.name`, which reads the names of policies.
`agents.planners` has the planners. The policy networks are in `agents.policy_networks` and, for agents that see a short
list of uploads, in `agents.candidates`; `agents.learning` trains them, and `agents.pretrained` holds the trained agents
that come with the project.
"""
