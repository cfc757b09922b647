"""The scratch server itself."""

import pytest

from environment import server_parameters
from environment.server_parameters import Parameter, text
from environment.types import ParameterValue
from roles.postgres.parameters import LEADER_FIRST
from tests.db.fixtures import chosen_major
from tools.scratch_server import Server
from tools.server_parameters import read as server_parameters_of


def test_the_server_is_of_the_chosen_major(server: Server, request: pytest.FixtureRequest) -> None:
    """PLAT-01, RIQ-01: `--postgres 15` tests 15, and not the server that is always there."""
    assert server.execute("SHOW server_version_num")[0][0].startswith(str(chosen_major(request.config)))


def test_parameters_are_known_as_the_server_says_them(server: Server, request: pytest.FixtureRequest) -> None:
    """PLAT-03: context, unit and range of each, by which a stack file is checked and a preview announces restarts. A later minor
    version may have more (`tools/server_parameters.py` asks again)."""
    said = {each.name: each for each in server_parameters_of(server)}
    known = server_parameters.known(chosen_major(request.config))
    assert [
        each for each in known.values() if said.get(each.name) != each and each.name not in server_parameters.FEWER
    ] == []
    assert len(known) > 300
    assert all(known[name].at_start for name in LEADER_FIRST)


VALUES: dict[str, list[ParameterValue]] = {
    "bool": [True, "off", "maybe", 2],
    "enum": ["nonsense", True],
    "integer": [0, -1, 7, "7", "64MB", "64mb", "10s", "1.5", 2**40, "many"],
    "real": [0, -1, 0.5, "0.5", "10ms", "1e400", "much"],
}
TAKES = """\
cd /pg && PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
while IFS='	' read -r name value; do
  postgres -D data -c "$name=$value" -C "$name" >/dev/null 2>&1; echo $?
done
"""
"""Shell: for each name and value 0 where a server would start with it."""


def test_what_is_allowed_is_what_the_server_starts_with(server: Server, request: pytest.FixtureRequest) -> None:
    """PLAT-03: of each parameter values of every form, and those at its bounds and beyond. The server rounds where a stack file has
    to be exact; of nothing else it takes more, but of processes (FEWER), and it takes all that is allowed."""
    major = chosen_major(request.config)
    tried = [
        (parameter, value)
        for parameter in server_parameters.known(major).values()
        if parameter.kind != "string"
        and parameter.context != "internal"
        and parameter.name not in server_parameters.owned()
        for value in values(parameter)
    ]
    assert len(tried) > 1500
    given = "".join(f"{parameter.name}\t{text(value)}\n" for parameter, value in tried)
    answers = server.run("sh", "-c", TAKES, given=given).stdout.split()
    wrong = [
        f"{parameter.name} = {text(value)}: {'taken' if takes else 'refused'} by the server; here: {refused or 'allowed'}"
        for (parameter, value), takes in zip(tried, (answer == "0" for answer in answers), strict=True)
        for refused in (server_parameters.allowed(major, parameter.name, value),)
        if takes is bool(refused) and not (takes and (rounded(parameter, value) or fewer(parameter, value)))
    ]
    assert not wrong, "\n".join(wrong)


def values(parameter: Parameter) -> list[ParameterValue]:
    """Values of its kind and of others, and its bounds."""
    bounds: list[ParameterValue] = []
    if parameter.kind == "integer":
        bounds = [parameter.least, parameter.most, int(parameter.least) - 1, int(parameter.most) + 1]
    return [*VALUES[parameter.kind], *(choice for choice in parameter.choices.split("|") if choice), *bounds]


def fewer(parameter: Parameter, value: ParameterValue) -> bool:
    """Whether it is beyond what a stack file may ask for."""
    number = parameter.base(value)
    return parameter.name in server_parameters.FEWER and number is not None and number > float(parameter.most)


def rounded(parameter: Parameter, value: ParameterValue) -> bool:
    """Whether the server makes a whole number of it."""
    number = parameter.base(value)
    return number is not None and parameter.kind == "integer" and not number.is_integer()
