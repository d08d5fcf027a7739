"""What is put back, by what is found: nothing dead, and nothing over somebody else's."""

from __future__ import annotations

import pytest

from ferryman.intercept.entry import Entry, Identity
from ferryman.intercept.verdict import Seen, Verdict, decide

ORIGINAL, OURS, OTHER = (Identity(1, n, 0) for n in (10, 20, 30))


def entry(ours: Identity | None = OURS) -> Entry:
    return Entry("/run/x", ORIGINAL, mode=0, uid=0, gid=0, main=1, guardian=2, since=0, ours=ours)


@pytest.mark.parametrize(
    ("path", "saved", "answers", "verdict"),
    [
        (OURS, ORIGINAL, True, Verdict("restored", put="over ours")),
        (OURS, ORIGINAL, False, Verdict("stopped", remove_ours=True, remove_saved=True)),
        (OURS, None, False, Verdict("stopped", remove_ours=True)),
        (OURS, OTHER, True, Verdict("stopped", remove_ours=True)),
        (ORIGINAL, ORIGINAL, True, Verdict("restored", remove_saved=True)),
        (ORIGINAL, None, False, Verdict("restored")),
        (None, ORIGINAL, True, Verdict("restored", put="if free")),
        (None, ORIGINAL, False, Verdict("stopped", remove_saved=True)),
        (None, None, False, Verdict("stopped")),
        (OTHER, ORIGINAL, False, Verdict("replaced", remove_saved=True)),
        (OTHER, ORIGINAL, True, Verdict("replaced", remove_saved=True)),
        (OTHER, OTHER, True, Verdict("replaced")),
    ],
)
def test_what_is_found_decides_what_is_put_back(
    path: Identity | None, saved: Identity | None, answers: bool, verdict: Verdict
) -> None:
    assert decide(entry(), Seen(path, saved, answers)) == verdict


@pytest.mark.parametrize("path", [None, ORIGINAL, OTHER])
def test_a_tap_that_was_killed_before_it_had_a_socket_installs_nothing_over_others(
    path: Identity | None,
) -> None:
    verdict = decide(entry(ours=None), Seen(path, None, answers=False))
    assert verdict.put is None
    assert not verdict.remove_ours
