"""One file a verb: what a person types."""
