"""The simulator: a real HTTP server that speaks the upstreams' dialects by script, with faults, and keeps a witness.

It is independent of the gateway on purpose: it writes every wire shape itself, so that it can catch the gateway out.
"""

from moongate.simulator.catalogue import CATALOGUE
from moongate.simulator.refusals import Refusal
from moongate.simulator.script import BadScriptError, Script
from moongate.simulator.server import Simulator, simulator
from moongate.simulator.tokens import Usage
from moongate.simulator.witness import Seen

__all__ = ["CATALOGUE", "BadScriptError", "Refusal", "Script", "Seen", "Simulator", "Usage", "simulator"]
