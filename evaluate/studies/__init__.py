"""Studies: agents are trained that differ in one thing, and compared in the same scenarios."""
