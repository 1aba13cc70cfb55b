"""Clocks, statistics, the bench."""
