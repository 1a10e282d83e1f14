"""Candidates: agents that see a short list of promising uploads instead of every fact.

Begin with `agents.candidates.layout`, which says what a candidate is, and `agents.candidates.features`, the table of
what an agent sees of each. `agents.candidates.expected_plan` keeps the reference plan, `agents.candidates.network` is
the policy network, and `agents.candidates.observer` connects all of it to an environment. The other rooms of `agents`
refer to this one only by names in text, so that the folder can be taken out as a whole.
"""
