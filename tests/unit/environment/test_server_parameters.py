"""What a stack file may set of PostgreSQL's parameters, apart from what the tests of stack files and of servers say."""

from __future__ import annotations

import pytest

from environment import server_parameters, sizing
from environment.manifest import Manifest
from environment.server_parameters import known, owned
from environment.settings import Postgres
from environment.types import ParameterValue
from roles.postgres.parameters import at_start, parameters
from tests.roles.targets import manifest_of

ADJUSTABLE = {"autovacuum_worker_slots", "wal_keep_size", *sizing.COUNTS, *sizing.AMOUNTS}
"""Of what Keel sets, what no requirement fixes and no setting gives: a stack file may."""


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("deadlock_timeout", 2000, "2s", True),
        ("deadlock_timeout", "2s", "2000 ms", True),
        ("deadlock_timeout", "1min", "61s", False),
        ("wal_buffers", "16MB", 2048, True),  # its unit is 8 kB
        ("log_rotation_size", "1GB", "1048576", True),
        ("random_page_cost", 1.1, "1.10", True),
        ("jit", True, "on", True),
        ("jit", "yes", False, False),
        ("huge_pages", "try", "try", True),
    ],
)
def test_two_forms_of_one_value(name: str, one: ParameterValue, other: ParameterValue, same: bool) -> None:
    """PLAT-03: the verification compares what a server reports with what a stack file says."""
    assert known(18)[name].same(one, other) is same


def test_what_keel_sets_no_stack_file_sets_as_well() -> None:
    """Each of those names says why; those that have a setting of their own are its fields."""
    given = {name for name in parameters(manifest_of("dev")) if "." not in name}
    assert given - owned().keys() == ADJUSTABLE
    with_fields = {name for name, reason in owned().items() if "a setting of its own" in reason}
    assert with_fields == given & Postgres.model_fields.keys()


def test_each_owned_name_is_a_parameter_of_some_major() -> None:
    """A name that PostgreSQL has no more would be kept for nothing."""
    assert owned().keys() <= {name for major in (15, 17, 18) for name in known(major)}


def with_parameters(**values: ParameterValue) -> Manifest:
    manifest = manifest_of("dev")
    return manifest.model_copy(update={"postgres": manifest.postgres.model_copy(update={"parameters": values})})


def test_they_reach_the_servers_as_text_and_a_restart_is_known_by_their_context() -> None:
    """PLAT-03: `on` is true to YAML; what PostgreSQL reads when it starts is announced as a restart."""
    manifest = with_parameters(jit=False, deadlock_timeout="2s", max_wal_size=2048)
    assert {"jit": "off", "deadlock_timeout": "2s", "max_wal_size": "2048"}.items() <= parameters(manifest).items()
    assert at_start(manifest, ["jit", "huge_pages"])
    assert not at_start(manifest, ["jit", "pg_stat_statements.track"])


def test_a_major_whose_parameters_are_not_known_takes_none() -> None:
    """Of 16 no supported Debian release has packages."""
    assert "not known here" in server_parameters.allowed(16, "jit", False)


MOST = {"statement_timeout": "10s", "idle_in_transaction_session_timeout": "60s", "transaction_timeout": "600s"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jit", False),
        ("extra_float_digits", 3),
        ("statement_timeout", "10s"),
        ("statement_timeout", 5000),
        ("lock_timeout", 0),
        ("idle_in_transaction_session_timeout", "1min"),
        ("transaction_timeout", "5min"),
        ("default_transaction_isolation", "repeatable read"),
        ("work_mem", "16MB"),
    ],
)
def test_what_clients_may_send_as_they_connect(name: str, value: ParameterValue) -> None:
    """What a session may set itself, within the product's own limits (ADA-02, W9)."""
    assert server_parameters.allowed_at_startup(18, name, value, MOST) == ""


def test_what_no_client_sends_is_a_parameter_and_says_why() -> None:
    """A name that PostgreSQL has no more would be refused for nothing; PgBouncer's own list is not followed by what it carries."""
    assert set(server_parameters.NOT_SENT) | server_parameters.FROM_CLIENTS <= set(known(18))
    assert not set(server_parameters.NOT_SENT) & server_parameters.FROM_CLIENTS
    for name in server_parameters.NOT_SENT:
        assert server_parameters.allowed_at_startup(18, name, known(18)[name].default, MOST).startswith("not here: ")
