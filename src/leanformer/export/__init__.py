"""Runtimes and int8."""
