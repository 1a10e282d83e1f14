"""The plain observation: a flat vector of facts about the present and the past, each scaled into [-1, 1].

Begin with `layout`, which says what stands where. `observing` writes the vector, with `network` for what is known of
networks and nodes, and `lanes` for weights that are in several lanes.
"""
