"""Moongate: a self-hosted gateway to every kind of Kimi access."""

__version__ = "0.1.0"
