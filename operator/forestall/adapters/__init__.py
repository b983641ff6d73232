"""Implementations of the ports. Only `__main__`, the demo and tests choose among them."""
