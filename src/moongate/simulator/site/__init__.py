"""kimi-ai.chat, the site of a third party: a page with a nonce in it, and a form that is answered whole."""

from moongate.simulator.site.site import Form, Site

__all__ = ["Form", "Site"]
