"""The latency table: milliseconds of attention and FFN sub-layers on this machine, measured once."""
