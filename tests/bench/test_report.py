import pytest

from bench import report
from bench.report import Bar, Row
from bench.rounds import Results

RESULTS: Results = {
    "bulk": {"ferry": [30.0, 10.0, 20.0], "socat": [10.0, 10.0, 10.0], "direct": [60.0] * 3},
    "cpu": {"ferry": [0.5, 0.5, 0.5], "socat": [1.0, 1.0, 1.0]},
    "idle": {"ferry": [1.5, 1.5, 1.5], "socat": [60.0, 60.0, 60.0]},
}
ROWS = [
    Row("bulk", "bulk", (Bar("socat", 1.5), Bar("direct", 0.5))),
    Row("cpu", "CPU", (Bar("socat", 0.5, at_most=True),)),
    Row("idle", "idle memory", (Bar(None, 2.0, at_most=True),), unit="KiB"),
    Row("unmeasured", "not in this run", (Bar("socat", 1.0),)),
]


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # The medians' ratio would be 20 / 2 = 10: a slow round of one is paired with another's.
    assert report.ratio([10.0, 20.0, 90.0], [10.0, 1.0, 2.0]) == 20.0


def test_a_ratio_of_unequal_rounds_is_refused() -> None:
    with pytest.raises(ValueError):
        report.ratio([1.0], [1.0, 2.0])


def test_a_ratio_leaves_out_the_rounds_in_which_either_failed() -> None:
    assert report.ratio([1.0, None, 6.0], [None, 1.0, 2.0]) == 3.0
    assert report.ratio([1.0], [None]) is None


@pytest.mark.parametrize(
    ("bar", "value", "met"),
    [
        (Bar("socat", 1.6), 1.6, True),
        (Bar("socat", 1.6), 1.59, False),
        (Bar("socat", 0.4, at_most=True), 0.4, True),
        (Bar("socat", 0.4, at_most=True), 0.41, False),
    ],
)
def test_a_bar_is_met_at_its_limit(bar: Bar, value: float, met: bool) -> None:
    assert bar.met(value) is met


def test_the_table_shows_ratios_bars_and_verdicts_of_what_was_measured() -> None:
    assert report.table(ROWS, RESULTS, ["socat", "direct"]).splitlines() == [
        "| figure | to socat | to direct | bar |  |",
        "|---|---|---|---|---|",
        "| bulk | 2.00 x | 0.33 x | ≥ 1.5 x socat; ≥ 0.5 x direct | **missed** |",
        "| CPU | 0.50 x |  | ≤ 0.5 x socat | met |",
        "| idle memory | 1.50 to 60.0 KiB |  | ≤ 2 KiB | met |",
    ]


def test_a_bar_against_a_peer_without_a_column_shows_the_ratio() -> None:
    assert report.table(ROWS[1:2], RESULTS, ["direct"]).splitlines()[2:] == [
        "| CPU |  | ≤ 0.5 x socat (is 0.50 x) | met |"
    ]


def test_an_aim_stands_beside_its_bar_with_a_verdict_of_its_own() -> None:
    row = Row("bulk", "bulk", (Bar("socat", 1.5),), aims=(Bar("socat", 2.5),))
    assert report.table([row, ROWS[1]], RESULTS, ["socat"]).splitlines() == [
        "| figure | to socat | bar |  | aim |  |",
        "|---|---|---|---|---|---|",
        "| bulk | 2.00 x | ≥ 1.5 x socat | met | ≥ 2.5 x socat | **missed** |",
        "| CPU | 0.50 x | ≤ 0.5 x socat | met |  |  |",
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "cell", "verdict"),
    [
        ([1.0, 1.0], [None, None], "failed", "met"),
        ([1.0, 1.0], [None, 2.0], "failed in 1 of 2 rounds", "**missed**"),
        ([None, None], [1.0, 1.0], "ours failed", "**missed**"),
        ([None, 9.0], [1.0, 1.0], "ours failed in 1 of 2 rounds", "**missed**"),
        ([None, None], [None, None], "failed", "**missed**"),
    ],
)
def test_who_failed_has_no_figure(
    ours: list[float | None], theirs: list[float | None], cell: str, verdict: str
) -> None:
    results: Results = {"bulk": {"ferry": ours, "socat": theirs}}
    row = Row("bulk", "bulk", (Bar("socat", 1.0),))
    assert report.table([row], results, ["socat"]).splitlines()[2:] == [
        f"| bulk | {cell} | ≥ 1 x socat | {verdict} |"
    ]


def test_missed_bars_and_aims_are_named() -> None:
    aimed = Row("cpu", "CPU", aims=(Bar("socat", 0.4, at_most=True),))
    assert report.missed([*ROWS, aimed], RESULTS) == ["bulk", "CPU (aim)"]


def test_a_block_is_replaced_and_the_prose_around_it_stays() -> None:
    document = "before\n<!-- bench relay -->\nold\n<!-- end of relay -->\nafter\n"
    assert report.replace_block(document, "relay", "new\n") == (
        "before\n<!-- bench relay -->\nnew\n<!-- end of relay -->\nafter\n"
    )


def test_a_document_without_the_block_is_refused() -> None:
    with pytest.raises(ValueError, match="no block for forward"):
        report.replace_block("<!-- bench relay -->\n<!-- end of relay -->\n", "forward", "")
