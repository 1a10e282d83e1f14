"""EosDNN: measures what its authors claim of PSO-GA and LMU.

Begin with `evaluate.papers.eosdnn.eosdnn`, the command; `evaluate.papers.eosdnn.placements` and
`evaluate.papers.eosdnn.uploads` measure one claim each.
"""
