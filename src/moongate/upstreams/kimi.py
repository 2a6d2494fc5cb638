"""What Moonshot's own services have in common."""

from moongate.upstreams.contract import NoEmptyText, Pinned, Rule, SystemRole


def sampling(temperature_unthinking: float | None = None) -> tuple[Rule, ...]:
    """The rows every Kimi chat model of 2026 shares."""
    return (
        Pinned("temperature", 1, unthinking=temperature_unthinking),
        Pinned("top_p", 0.95),
        Pinned("presence_penalty", 0),
        Pinned("frequency_penalty", 0),
        SystemRole(),
        NoEmptyText(),
    )
