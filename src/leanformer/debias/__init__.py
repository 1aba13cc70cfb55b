"""Runs that take gender bias out of an encoder, and measure what that costs."""
