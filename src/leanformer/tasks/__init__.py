"""Data, heads and metrics: what the user wants the model to do."""
