"""Joint efficiency: placement and order at once, by delay saved per second of upload."""
