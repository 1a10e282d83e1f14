"""Results of papers, reproduced from their published data or in their settings: one folder, and one command, per paper.

Begin with the module that a folder is named after: `evaluate.papers.ionn.ionn`, `evaluate.papers.eosdnn.eosdnn` or
`evaluate.papers.mjoa_mu.mjoa_mu`.
"""
