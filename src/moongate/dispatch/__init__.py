"""From a request and the ways it may go to a reply that has begun: which account is tried, and when it is too late to
try another. `search` is one request on its way, `speaking` a reply that is held back and then told."""

from moongate.dispatch.dispatch import Dispatch, Patience
from moongate.dispatch.speaking import Speaking

__all__ = ["Dispatch", "Patience", "Speaking"]
