"""The scratch server itself."""

import pytest

from tests.db.fixtures import chosen_major
from tools.scratch_server import Server


def test_the_server_is_of_the_chosen_major(server: Server, request: pytest.FixtureRequest) -> None:
    """PLAT-01, RIQ-01: `--postgres 15` tests 15, and not the server that is always there."""
    assert server.execute("SHOW server_version_num")[0][0].startswith(str(chosen_major(request.config)))
