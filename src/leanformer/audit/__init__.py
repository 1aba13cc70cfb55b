"""What a compressed model does that its score does not show."""
