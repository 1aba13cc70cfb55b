"""One file per published system: a recipe."""
