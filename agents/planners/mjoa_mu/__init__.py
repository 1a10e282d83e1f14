"""MJOA-MU: cold starts of many users, placed by PBT-DP, with shares of the channel and the servers from ARA.

Begin with `agents.planners.mjoa_mu.mjoa_mu`, the planner, then read `agents.planners.mjoa_mu.pbt_dp` (where layers run)
and `agents.planners.mjoa_mu.ara` (who gets which share). `agents.planners.mjoa_mu.pruned_tree` is the compiled part of
PBT-DP.
"""
