"""The only place that knows a model family."""
