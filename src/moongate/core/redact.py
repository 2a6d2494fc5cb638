"""Takes out of a text what must not be shown: keys, tokens, and the account ids upstreams put into their refusals."""

import re

HIDDEN = "[redacted]"

_PATTERNS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # "Your account org-…<ak-…> request reached …", "quota: <org-…> 0": observed in 429 bodies of the platform.
        (r"(?<=account )\S*<[^<>\s]*>", HIDDEN),
        (r"(?<![\w.{}-])[\w.{}-]*<(?!/?[a-zA-Z]+\s*/?>)[^<>\s]{3,}>", HIDDEN),
        (r"\b(?:org|ak|proj)-[A-Za-z0-9]{8,}\b", HIDDEN),
        (r"(?<=Users )\S+(?= not found)", HIDDEN),
        (r"\bsk-[A-Za-z0-9_-]{6,}", HIDDEN),
        (r"\bmg-[A-Za-z0-9_-]{32,}", HIDDEN),  # a key this gateway made
        (r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?", HIDDEN),
        (r"(?<=//)[^\s/@]{1,500}:[^\s/@]{0,500}(?=@)", HIDDEN),  # the password in a URL
        (r"(?i)\bbearer\s+[^\s\"',;]{6,}", f"Bearer {HIDDEN}"),
    )
)

_SUSPECT = re.compile(r"<|@|users |sk-|mg-|eyJ|org-|ak-|proj-|bearer", re.IGNORECASE)
"""Without one of these no pattern can match; most of what is logged has none."""


def redact(text: str, *secrets: str) -> str:
    """`text` without anything shaped like a credential or an account id, and without each of `secrets`."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    if _SUSPECT.search(text):
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
    return text
