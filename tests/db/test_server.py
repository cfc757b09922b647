"""The scratch server itself."""

import pytest

from roles.postgres.parameters import AT_START, LEADER_FIRST, parameters
from tests.db.fixtures import chosen_major
from tests.roles.targets import manifest_of
from tools.scratch_server import Server


def test_the_server_is_of_the_chosen_major(server: Server, request: pytest.FixtureRequest) -> None:
    """PLAT-01, RIQ-01: `--postgres 15` tests 15, and not the server that is always there."""
    assert server.execute("SHOW server_version_num")[0][0].startswith(str(chosen_major(request.config)))


def test_what_a_server_reads_only_when_it_starts(server: Server) -> None:
    """PLAT-03: of the parameters that Keel sets; a preview announces a restart for these and for no other."""
    contexts = dict(server.execute("select name, context from pg_settings"))
    at_start = {name for name, context in contexts.items() if context == "postmaster"}
    given = {name for name in parameters(manifest_of("dev")) if name in contexts}
    assert given & at_start == given & AT_START
    assert at_start >= LEADER_FIRST
