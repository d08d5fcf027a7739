from __future__ import annotations

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api import yaml
from ferryman.api.status import BadRequest

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)
    | st.sampled_from(["on", "22:22", "017", "0o17", "1e3", "~", "null", "1_000", "0x1f", "<<"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6), inner, max_size=4
        )
    ),
    max_leaves=10,
)

SCALARS = [
    ("22:22", "22:22"),
    ("on", "on"),
    ("yes", "yes"),
    ("N", "N"),
    ("017", "017"),
    ("08", "08"),
    ("0o17", 15),
    ("0x1F", 31),
    ("-12", -12),
    ("1_000", "1_000"),
    ("1e3", 1000.0),
    ("-.5", -0.5),
    ("3.", 3.0),
    (".inf", ".inf"),
    ("2026-01-01", "2026-01-01"),
    ("true", True),
    ("False", False),
    ("~", None),
    ("", None),
    ("'true'", "true"),
    ("!!str 5", "5"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_mean_what_people_mean(text: str, value: object) -> None:
    loaded = yaml.load(f"key: {text}")
    assert loaded == {"key": value}
    assert type(loaded["key"]) is type(value)


def test_keys_are_text_as_in_json() -> None:
    assert yaml.load("8080: a\non: b\ntrue: c\n1.5: d") == {
        "8080": "a",
        "on": "b",
        "true": "c",
        "1.5": "d",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\na: 2", "duplicate key 'a'.* line 2"),
        ("8080: a\n'8080': b", "duplicate key '8080'"),
        ("? [a]\n: 1", "not a key"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "merge keys"),
        ("a: [", "not YAML"),
        ("a: &x [*x]", "not YAML"),
        ("!!python/object/apply:os.system [x]", "not YAML"),
        ("a: !!int x", "not YAML"),
        (b"\xff\xfe\xff", "not YAML"),
        ("[" * 50_000, "not YAML"),
        ("a\n---\nb", "one YAML document expected"),
    ],
)
def test_what_nobody_can_mean_is_refused_with_its_place(text: str | bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        yaml.load(text)


def test_aliases_may_not_make_a_small_text_huge() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 9):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    with pytest.raises(BadRequest, match="too large"):
        yaml.load("\n".join(lines))
    assert yaml.load("a: &x [1]\nb: *x") == {"a": [1], "b": [1]}


def test_several_documents_come_in_order_and_empty_ones_are_left_out() -> None:
    assert yaml.load_all("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    assert yaml.load("") is None


@given(JSON)
def test_what_is_written_reads_back_the_same_here_and_in_yaml_1_1(value: object) -> None:
    text = yaml.dump(value)
    assert yaml.load(text) == value
    assert pyyaml.safe_load(text) == value
