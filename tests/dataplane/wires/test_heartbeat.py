import pytest

from ferryman.dataplane.wires.heartbeat import INTERVAL, SWALLOWED, Heartbeat, Pace

# Each step: what is reported, or "tick" with what is due then; times in seconds from the start.
TRANSCRIPTS: list[tuple[str, list[tuple[float, str, object]]]] = [
    (
        "a wire that answers is asked every ten seconds",
        [
            (9.9, "tick", None),
            (10, "tick", "ping"),
            (10.1, "answered", None),
            (19.9, "tick", None),
            (20, "tick", "ping"),
        ],
    ),
    (
        "silence for five seconds after a PING is a loss",
        [(10, "tick", "ping"), (14.9, "tick", None), (15, "tick", "lost")],
    ),
    (
        "bytes of any kind put the deadline off",
        [(10, "tick", "ping"), (14, "heard", None), (18.9, "tick", None), (19, "tick", "lost")],
    ),
    (
        "a suspect wire is asked at once, with a deadline of its own",
        [
            (10, "tick", "ping"),
            (12, "suspect", None),
            (12, "tick", "ping"),
            (15, "tick", None),
            (17, "tick", "lost"),
        ],
    ),
    (
        "a wire that is not read is neither asked nor given up, and then has five seconds more",
        [
            (10, "tick", "ping"),
            (11, "pause", None),
            (100, "tick", None),
            (100, "resume", None),
            (104.9, "tick", None),
            (105, "tick", "lost"),
        ],
    ),
    (
        "after much was sent up, silence is only doubtful",
        [
            (5, "sent", SWALLOWED + 1),
            (10, "tick", "ping"),
            (15, "tick", "doubtful"),
            (19.9, "tick", None),
            (20, "tick", "doubtful"),
            (21, "answered", None),
            (21, "tick", "ping"),
            (26, "tick", "lost"),
        ],
    ),
]


@pytest.mark.parametrize("steps", [t[1] for t in TRANSCRIPTS], ids=[t[0] for t in TRANSCRIPTS])
def test_a_wire_is_asked_and_given_up_in_time(steps: list[tuple[float, str, object]]) -> None:
    heartbeat = Heartbeat(0.0)
    for time, what, value in steps:
        match what:
            case "tick":
                assert heartbeat.due(time) == value, time
            case "sent":
                assert isinstance(value, int)
                heartbeat.sent(value)
            case "answered" | "pause":
                getattr(heartbeat, what)()
            case _:
                getattr(heartbeat, what)(time)


def test_it_says_when_to_ask_again() -> None:
    heartbeat = Heartbeat(0.0)
    assert heartbeat.wake() == 10
    heartbeat.due(10.0)
    assert heartbeat.wake() == 15
    heartbeat.answered()
    assert heartbeat.wake() == 20
    heartbeat.pause()
    assert heartbeat.wake() is None


# Each loss: when, and after how much silence.
@pytest.mark.parametrize(
    ("losses", "interval"),
    [
        ([(5, 5.0), (11, 5.0)], 2.5),
        ([(5, 5.0), (11, 5.3)], 2.65),
        ([(5, 5.0)], INTERVAL),  # once is chance
        ([(5, 5.0), (5.2, 5.0)], INTERVAL),  # one event, such as a server that restarts
        ([(5, 5.0), (12, 6.0)], INTERVAL),
        ([(5, 0.1), (11, 0.1)], INTERVAL),  # it was not silent
        ([(60, 60.0), (120, 60.0)], INTERVAL),  # a PING should have helped, and did not
        ([(5, 5.0), (11, 5.0), (20, 2.2), (25, 2.2)], 1.1),
    ],
)
def test_wires_are_asked_more_often_than_somebody_closes_silent_ones(
    losses: list[tuple[float, float]], interval: float
) -> None:
    pace = Pace()
    for when, silence in losses:
        pace.closed(when, silence)
    assert pace.interval == pytest.approx(interval)
    assert Heartbeat(100.0, pace).wake() == pytest.approx(100 + interval)
