from contextlib import ExitStack

from bench.rounds import Figures, Measure, Scenario, run


def test_contenders_are_measured_in_turn_and_each_comes_first_in_turn() -> None:
    order: list[str] = []

    def measure(name: str) -> Measure:
        def once() -> Figures:
            order.append(name)
            return {"speed": float(order.count(name))}

        return once

    scenario = Scenario("one", lambda _: {name: measure(name) for name in "abc"})
    assert run([scenario], 3) == {"speed": {name: [1.0, 2.0, 3.0] for name in "abc"}}
    assert "".join(order) == "abcbcacab"


def test_what_a_scenario_started_is_stopped_before_the_next_starts() -> None:
    events: list[str] = []

    def scenario(name: str) -> Scenario:
        def prepare(stack: ExitStack) -> dict[str, Measure]:
            events.append(f"{name} starts")
            stack.callback(events.append, f"{name} stops")
            return {"ferry": lambda: {name: 1.0}}

        return Scenario(name, prepare, rounds=1)

    assert run([scenario("one"), scenario("two")], 5) == {
        "one": {"ferry": [1.0]},
        "two": {"ferry": [1.0]},
    }
    assert events == ["one starts", "one stops", "two starts", "two stops"]
