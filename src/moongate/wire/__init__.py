"""Framing and byte tools. No I/O, no meaning."""
