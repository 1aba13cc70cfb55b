"""Candidates under a budget: space, evaluation ladder, strategies, journal."""
