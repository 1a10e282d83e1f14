"""Candidates: agents that see a short list of promising uploads; it can be taken out as one folder."""
