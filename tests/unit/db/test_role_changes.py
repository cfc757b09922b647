"""What becomes of roles, by the server's version and by what is found: decided without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from db import definer, found, lookup, provision
from db.change import ProvisionError
from db.found import Cluster, Holding, Membership
from db.role_changes import memberships
from db.spec import Role
from db.undeclared import drop_role
from environment.names import PGBOUNCER
from environment.products import catalogue

ROLES = [Role("jeex_idea_owner"), Role("jeex_idea_migrator", becomes=frozenset({"jeex_idea_owner"}))]


def cluster(version: int, *held: Membership, holdings: tuple[Holding, ...] = ()) -> Cluster:
    """A server with nothing but these."""
    nothing: frozenset[Any] = frozenset()
    return Cluster(version, False, nothing, nothing, {}, frozenset(held), {}, {}, nothing, frozenset(holdings))


@pytest.mark.parametrize(
    ("version", "options"),
    [(15, ""), (16, " WITH INHERIT False, SET True"), (17, " WITH INHERIT False, SET True"), (18, " WITH INHERIT False, SET True")],
)  # fmt: skip
def test_options_of_a_membership_begin_with_16(version: int, options: str) -> None:
    """PLAT-09: before it, a member inherits by its own attribute and may always become the role."""
    (change,) = memberships(ROLES, cluster(version))
    wanted = f'GRANT "jeex_idea_owner" TO "jeex_idea_migrator"{options}'
    assert change.sql.as_string(None) == wanted
    has = Membership("jeex_idea_migrator", "jeex_idea_owner", False, True, False)
    assert list(memberships(ROLES, cluster(version, has))) == []


@pytest.mark.parametrize(("version", "may_become"), [(15, True), (16, False), (17, False), (18, False)])
def test_who_only_inherits_may_become_the_role_before_16(version: int, may_become: bool) -> None:
    """PLAT-09: what the server cannot express is no difference for ever."""
    reader = [Role("owner"), Role("reader", inherits=frozenset({"owner"}))]
    assert list(memberships(reader, cluster(version, Membership("reader", "owner", True, may_become, False)))) == []
    other = Membership("reader", "owner", True, not may_become, False)
    assert len(list(memberships(reader, cluster(version, other)))) == 2


@pytest.mark.parametrize("version", [15, 16, 17, 18])
def test_memberships_are_read_as_the_version_has_them(version: int) -> None:
    asked: list[bytes] = []

    def execute(query: bytes) -> SimpleNamespace:
        asked.append(query)
        return SimpleNamespace(fetchall=lambda: [(version, False, [], [])] if query == found._SERVER else [])

    connection: Any = SimpleNamespace(execute=execute)
    assert found.read_cluster(connection).version == version
    assert (found._MEMBERSHIPS in asked, found._MEMBERSHIPS_BEFORE_16 in asked) == (version >= 16, version < 16)


def test_privileges_elsewhere_are_told_once_with_every_place() -> None:
    """What is told names all of them; the statement is for the first."""
    held = tuple(Holding("bob", database, False) for database in ("theirs", "others"))
    connect: Any = None
    (told,) = drop_role(connect, cluster(18, holdings=held), "bob", {"jeex_idea"})
    assert (told.database, told.told) == ("others", True)
    assert "database others" in told.what and "database theirs" in told.what


def test_who_is_to_log_in_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-28: the first one that is missing is named, and nobody is admitted."""
    product = next(product for product in catalogue().values() if product.worker_role)
    first, _worker = product.client_roles

    class Connection:
        def __enter__(self) -> None:
            return None

        def __exit__(self, *_: object) -> None:
            return None

    connect: Any = lambda _: Connection()  # noqa: E731
    monkeypatch.setattr(provision, "read_cluster", lambda _: cluster(18))
    with pytest.raises(ProvisionError, match=f"role {first} does not exist"):
        provision.admit(connect, product)


@pytest.mark.parametrize(
    ("callers", "usage", "restricted"),
    [
        (["pgbouncer"], True, False),
        (["pgbouncer"], False, True),
        ([], True, True),
        (["pgbouncer", "PUBLIC"], True, True),
    ],
)
def test_only_the_pooler_may_look_a_password_up(callers: list[str], usage: bool, restricted: bool) -> None:
    """PLAT-11: it needs the function and its schema; anybody else needs neither."""
    callers = [PGBOUNCER if caller == "pgbouncer" else caller for caller in callers]
    function = lookup.function(catalogue().values())
    answer = (function.body, True, definer._SETTINGS, True, callers, usage)
    connection: Any = SimpleNamespace(execute=lambda *_: SimpleNamespace(fetchone=lambda: answer))
    assert [change.what for change in function.plan(connection)] == ([function._restrict().what] if restricted else [])
