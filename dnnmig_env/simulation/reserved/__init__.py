"""Reserved shares: every user has its own part of the channel and of each server, as in MJOA-MU.

Begin with `shares`, which says what shares are and gives every user a scenario of its own. `reserved_timeline` puts the
timelines of these scenarios together again.
"""
