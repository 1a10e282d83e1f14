"""Output: tables (`evaluate.output.tables`), and folders of results that are written as a whole or not at all.

Begin with `evaluate.output.folder`: every command checks its folder with it before the work and writes to it
afterwards.
"""
