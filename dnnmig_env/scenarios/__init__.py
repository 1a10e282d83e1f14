"""Scenarios: everything that is given before a decision is taken, and files that describe it.

Begin with `scenario`: users with their networks and devices, servers, links and time slots. `node` holds the machines
and the time that a layer takes on one, `traces` reads recorded rates of links, and `file` reads and writes scenarios.
"""
