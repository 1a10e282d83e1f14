"""Output: tables, and folders of results that are written as a whole or not at all.

Begin with `evaluate.output.folder`: every command checks its folder with it before the work and writes to it
afterwards. `evaluate.output.unfinished` does that for commands whose records come one by one, and keeps them in a
journal (`evaluate.output.journal`) on the way, and `evaluate.output.keeping` computes records by several workers.
`evaluate.output.tables` makes the tables.
"""
