"""The gateway as an ASGI application: bytes of HTTP in, bytes of HTTP out."""
