"""A Kimi account as a person uses it in the browser: www.kimi.com and www.kimi.ai, in both generations they speak."""

from moongate.upstreams.kimi_web.citations import Marks
from moongate.upstreams.kimi_web.models import KNOWN, NAME
from moongate.upstreams.kimi_web.renewal import first, renew
from moongate.upstreams.kimi_web.site import Setting, Site
from moongate.upstreams.kimi_web.web import KimiWeb

__all__ = ("KNOWN", "NAME", "KimiWeb", "first", "kimi_web", "renew")


def kimi_web(base_url: str, user_agent: str, generation: Setting, marks: Marks) -> KimiWeb:
    """Accounts at one site share the result, and so what is learned of the site."""
    return KimiWeb(base_url, user_agent, Site(generation), marks)
