"""Text from a peer made fit for one line; pure."""

from __future__ import annotations

LIMIT = 200


def title(text: str, limit: int = LIMIT) -> str:
    """The text without control characters, and not longer than that."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isprintable() else printable(text)


def printable(text: str) -> str:
    """What a terminal would act on, and line ends, made visible as "�"."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
