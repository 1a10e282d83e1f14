"""Learning: algorithms of Stable-Baselines3 (SB3), with policies that choose among legal actions only.

Begin with `agents.learning.registry`, which lists the algorithms, and `agents.learning.algorithms`, which makes models;
`agents.learning.settings` says what can be set. `agents.learning.groups` learns from groups of rollouts; the other
algorithms come with SB3, and `agents.learning.masked_policy` and `agents.learning.masked_dqn` are the policies.
`agents.learning.sb3_vec_env` shows the environment to SB3, `agents.learning.checkpoint` saves models and goes on with
them, and `agents.learning.imitation` is for warm starts.
"""
