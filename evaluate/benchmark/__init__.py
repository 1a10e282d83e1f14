"""The command `benchmark`: freezes sets of scenarios, and keeps their best known plans and the leaderboard.

Begin with `benchmark`. `freeze` draws a set, `entries` checks the results of an evaluation of one, and `leaderboard`
writes the table.
"""
