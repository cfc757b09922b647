"""The merge patch that makes etcd's copy of the configuration what the settings say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roles.postgres.cluster import Configuration, Members, difference
from roles.postgres.parameters import dynamic_configuration
from tests.roles.machines import merged
from tests.roles.targets import manifest_of

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a changed value": ({"ttl": 30}, {"ttl": 20}),
    "an undeclared key goes": ({"ttl": 20, "synchronous_mode_strict": True, "pause": True}, {"synchronous_mode_strict": None, "pause": None}),
    "one below a section": ({"ttl": 20, "postgresql": {"pg_hba": ["local all all trust"]}}, {"postgresql": {"pg_hba": None}}),
    "a section of nobody's": ({"ttl": 20, "standby_cluster": {"host": "elsewhere"}}, {"standby_cluster": None}),
    "no section at all": ({"ttl": 20, "postgresql": "off"}, {}),
    "an unknown parameter goes": ({"ttl": 20, "postgresql": {"parameters": {"jit": "off"}}}, {"postgresql": {"parameters": {"jit": None}}}),
    "a section that is missing": ({"ttl": 20, "postgresql": None}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_patch_makes_what_is_wanted(name: str) -> None:
    found, expected = CASES[name]
    wanted = {"ttl": 20, "postgresql": {"parameters": {}}}
    assert difference(found, wanted) == expected


@pytest.mark.parametrize("found", [{}, {"ttl": 1}, {"postgresql": {"parameters": {"work_mem": "1MB", "jit": "off"}}}])
def test_a_second_look_finds_nothing(found: dict[str, Any]) -> None:
    """Design, principle 5."""
    wanted = dynamic_configuration(manifest_of("dev"))
    after = merged(found, difference(found, wanted))
    assert difference(after, wanted) == {}
    assert after["postgresql"]["parameters"] == wanted["postgresql"]["parameters"]  # type: ignore[index]


def test_parameters_are_text_as_patroni_gives_them_back() -> None:
    """A number here would be a difference for ever."""
    wanted = dynamic_configuration(manifest_of("dev"))
    parameters = wanted["postgresql"]["parameters"]  # type: ignore[index]
    assert {type(value) for value in parameters.values()} == {str}
    assert difference(json.loads(json.dumps(wanted)), wanted) == {}


def test_answers_of_patroni_are_read() -> None:
    assert Configuration().process(['{"ttl": 20, ', '"loop_wait": 2}']) == {"ttl": 20, "loop_wait": 2}
    assert Members().process(['{"members": ', "[]}"]) == '{"members": []}'


def test_a_silent_patroni_is_an_empty_answer() -> None:
    assert Configuration().process([]) == {}
    assert Members().process([]) == ""
