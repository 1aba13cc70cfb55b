"""All methods under one budget: the grid, its runs, their speeds side by side, and the table that comes of it."""
