"""Inference that depends on the text: when it may stop."""
