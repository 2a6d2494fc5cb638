"""Kinds of account: what they know, where they live, how they refuse. Each folder describes; `driver.py` performs."""
