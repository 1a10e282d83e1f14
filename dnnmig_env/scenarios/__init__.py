"""Scenarios: what is given, users with networks, devices, servers and links, and files that say so."""
