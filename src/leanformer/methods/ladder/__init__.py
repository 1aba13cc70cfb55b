"""A ladder of cost: its rungs, how they are measured, and how pruning climbs it."""
