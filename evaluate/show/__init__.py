"""Show: policies in one and the same scenario, as pictures over time and as an animation on the map.

Begin with `evaluate.show.show`, which does the whole. `evaluate.show.plots` draws uploads and delays,
`evaluate.show.town` draws the map at a time, and `evaluate.show.animation` lets time pass on it.
"""
