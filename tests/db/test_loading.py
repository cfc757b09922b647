"""A restored database is loaded with the rights of its owner, and is whole (W0)."""

from __future__ import annotations

from typing import Any

from environment.names import RESTORE
from environment.products import Product
from keel_host import catalogue
from tests.db.loaded import loaded
from tools.scratch_server import Server

OWNERS = b"""
select relname::text, pg_get_userbyid(relowner), array(select acl::text from unnest(relacl) acl order by 1) from pg_class where relnamespace in ('public'::regnamespace, 'alembic'::regnamespace)
  and relkind in ('r', 'S', 'v') and relname !~ 'pg_stat_statements'
union all select proname, pg_get_userbyid(proowner), array(select acl::text from unnest(proacl) acl order by 1) from pg_proc join pg_namespace n on n.oid = pronamespace
  where nspname in ('public', 'auth') and not exists (select from pg_depend d where d.objid = pg_proc.oid and d.deptype = 'e')
union all select nspname, pg_get_userbyid(nspowner), array(select acl::text from unnest(nspacl) acl order by 1) from pg_namespace where nspname !~ '^pg_'
order by 1, 2
"""


def read(server: Server, database: str, question: bytes) -> list[Any]:
    """Its answer."""
    with server.connect(database) as connection:
        return connection.execute(question).fetchall()


def test_every_product_is_loaded_whole(server: Server, product: Product, at_head: str) -> None:
    """W0, PLAT-34: objects, owners and rights, by a login that is gone afterwards."""
    told: list[str] = []
    there = loaded(server, product, told)
    with server.connect(product.name) as one, server.connect(there) as other:
        assert catalogue.differences(catalogue.read(one), catalogue.read(other)) == []
    assert read(server, there, OWNERS) == read(server, product.name, OWNERS)
    assert told == [] and server.execute(f"select 1 from pg_roles where rolname = '{RESTORE}'") == []
    server.execute(f"drop database {there} with (force)")
