"""What families ask for: how near rules without thought come to the best known plan, and how heavily all is used."""
