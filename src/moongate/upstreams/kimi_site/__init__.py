"""kimi-ai.chat, a site of a third party and not of Moonshot's: a page with a chat in it, open to everybody, that takes
one flat text and answers it whole. What is sent there is read by whoever runs it."""

from moongate.upstreams.kimi_site.site import MODELS, NAME, KimiSite

__all__ = ["MODELS", "NAME", "KimiSite"]
