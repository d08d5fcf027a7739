"""What the loss of a target means: the rules, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ferryman.dataplane.retry import MOST_REPLAYS, Loss, Verdict, judge

GET = Loss(
    how="fin", going=False, proven=False, said=True, kept=True, harmless=True,
    complete=False, replays=0,
)  # fmt: skip
POST = replace(GET, harmless=False)
ANSWERED = replace(GET, proven=True, kept=False)
SILENT = replace(GET, said=False, kept=True, harmless=False)

RULES: list[tuple[str, Loss, Verdict]] = [
    ("refused: nothing was delivered", replace(POST, how="undelivered"), "redial"),
    ("refused, but too much was said to keep", replace(POST, how="undelivered", kept=False),
     "reset"),
    ("an idempotent request without an answer is asked again", GET, "redial"),
    ("also after a reset", replace(GET, how="reset"), "redial"),
    ("but not for ever", replace(GET, replays=MOST_REPLAYS, how="reset"), "reset"),
    ("a request that may have had an effect is not", replace(POST, how="reset"), "reset"),
    ("a healthy server may close without an answer", POST, "pass"),
    ("a dying one may not", replace(POST, going=True), "reset"),
    ("nothing was said and the pod goes: find another", replace(SILENT, going=True), "redial"),
    ("nothing was said and the server closes: it means it", SILENT, "pass"),
    ("an answer cut short must not look whole", replace(ANSWERED, going=True), "reset"),
    ("nor one of unknown protocol", replace(ANSWERED, going=True, complete=None), "reset"),
    ("a whole answer may end", replace(ANSWERED, going=True, complete=True), "pass"),
    ("a healthy pod's end is its own affair", replace(ANSWERED, complete=None), "pass"),
    ("a reset stays a reset", replace(ANSWERED, how="reset", complete=True), "reset"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "verdict"), [r[1:] for r in RULES], ids=[r[0] for r in RULES])
def test_the_rule(loss: Loss, verdict: Verdict) -> None:
    assert judge(loss) == verdict
