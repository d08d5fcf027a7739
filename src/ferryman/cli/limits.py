"""Room for descriptors: a connection takes two, and systems begin with 1,024 or 256 (macOS)."""

from __future__ import annotations

from ferryman.cli.output import note

MOST = 65536
"""More is never taken: programs that we start inherit it, and some go through all there may be."""


def raise_descriptor_limit() -> None:
    """Take what the hard limit allows, up to ``MOST``."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError) as error:
            note(f"the limit of open files stays at {soft}: {error}")
