"""Town: streets, places, radios and wires that stay the same while people come and go.

Begin with `town`, which puts the parts together: `streets` lays out a grid with gaps, `places` says where people come
from and go to, `routes` how they get there, `trips` where they are from slot to slot, `arrivals` when they set out and
who is turned away. `coverage` puts edge servers at crossings, `wires` connects them. `recorded` is a town whose people
move as a file says; it has no streets. `ground` is what the two kinds of town have in common.
"""
