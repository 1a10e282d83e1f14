"""Reserved resources: every user has its own share of the channel and of each server."""
