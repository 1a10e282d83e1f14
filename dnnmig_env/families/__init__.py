"""Families: generators that draw random scenarios, one family per file.

Begin with `single`, the simplest. `edge_cloud` adds users, edges and a cloud, `multi_user` draws more users, `mobile`
lets them move, `city` lets them move along the streets of a town (`town`), and `toy` is one scenario worked out by
hand. `registry` finds a generator by the family's name, `family_file` reads a distribution of one's own, and `draw`
holds the parts of which the generators consist.
"""
