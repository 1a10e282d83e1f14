"""Compare: plays policies in the same scenarios and says how long queries take."""
