"""Types and constraints that no product has yet, on one table of JEEX Idea's database, and what a masking refuses."""

from __future__ import annotations

import pytest

from db import masking
from environment.products import Product, Table
from keel_host import catalogue
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")

TABLE = """
create type mood as enum ('glad', 'sad', 'even');
create domain label as varchar(24) check (length(value) > 3);
create table people (
    id integer primary key, email varchar(40) not null, nickname varchar(9), tag label, mood mood, size text
        constraint sizes check (size = any (array['small', 'large'])),
    salary numeric(9, 2), phone bigint check (phone > 0), born date, seen timestamp, key uuid, face bytea,
    about text, words tsvector generated always as (to_tsvector('simple', about)) stored, unique (email, nickname)
);
create unique index on people (lower(email));
insert into people (id, email, nickname, tag, mood, size, salary, phone, born, seen, key, face, about)
select n, format('Person%s@real.example', n), left(md5(n::text), 9), 'label ' || n, 'glad', 'small', 1234.50 + n, 4915112345000 + n,
       '1980-02-03', '2026-01-01 12:00', gen_random_uuid(), 'face', 'knows marker ' || n from generate_series(1, 300) n;
insert into people (id, email) values (0, 'root@localhost');
create table invitations as select email::text as address from people;
"""
PII = ("email", "nickname", "tag", "mood", "size", "salary", "phone", "born", "seen", "key", "face", "about", "words")  # fmt: skip


OTHER = {"invitations": Table(classification="confidential", pii=("address",))}


@pytest.fixture
def people(server: Server, product: Product, empty: str, monkeypatch: pytest.MonkeyPatch) -> Product:
    """A product with that table."""
    server.execute(TABLE, product.name)
    with server.connect(product.name) as connection:
        known = catalogue.read(connection)
    monkeypatch.setattr(catalogue, "recorded", lambda _: known)
    return product.model_copy(update={"tables": {"people": Table(classification="confidential", pii=PII), **OTHER}})


def test_each_form_is_kept(server: Server, people: Product) -> None:
    """JEEX-35: unique over expressions and several columns, length, enum, CHECK, domain, generated columns."""
    columns = ", ".join(PII)
    before = server.execute(f"select {columns} from people order by id", people.name)
    done = masking.mask(server.superuser, people, "key", lambda _: None)
    after = server.execute(f"select {columns} from people order by id", people.name)
    assert done == {"people": 301, "invitations": 301}
    assert after[0][0] != before[0][0] and set(after[0][1:]) == {None}
    for old, new in zip(before[1:], after[1:], strict=True):
        assert [name for name, a, b in zip(PII, old, new, strict=True) if a == b] == []
        assert new[3] in ("sad", "even") and new[4] == "large" and new[6] > 0
        assert len(str(new[6])) == 13 and new[8] < old[8]
    assert len({row[0] for row in after}) == 301
    assert len({row[7:9] for row in after[1:]}) == 1, "equal values stay equal"
    joined = "select count(*) from people join invitations on address = email"
    assert server.execute(joined, people.name) == [(301,)]


def test_another_key_gives_other_values(server: Server, people: Product) -> None:
    """Nobody finds an original by masking guesses: the key is made anew for each copy."""
    seen = []
    for key in ("one", "two"):
        server.execute("insert into people (id, email) values (1000, 'a@b.example')", people.name)
        masking.mask(server.superuser, people, key, lambda _: None)
        seen += server.execute("select email from people where id = 1000", people.name)
        server.execute("delete from people where id = 1000", people.name)
    assert len(set(seen)) == 2


def test_a_refusing_constraint_is_named_and_the_row_is_not(server: Server, people: Product) -> None:
    """Nothing is half masked, and no message carries what it should hide."""
    server.execute("alter table people add constraint real check (about like 'knows%')", people.name)
    with pytest.raises(masking.MaskingFailed, match="people real") as refused:
        masking.mask(server.superuser, people, "key", lambda _: None)
    assert "Person" not in str(refused.value) and "marker" not in str(refused.value)
    assert server.execute("select count(*) from people where about like 'knows marker%'", people.name) == [(300,)]


def test_what_nobody_declared_refuses_the_copy(server: Server, people: Product) -> None:
    """A column that this checkout does not know may hold anything."""
    server.execute("alter table people add column iban text", people.name)
    with pytest.raises(masking.NotMaskable, match=r"people\.iban is not in this checkout"):
        masking.mask(server.superuser, people, "key", lambda _: None)


def test_every_type_without_a_mask_is_named(server: Server, people: Product) -> None:
    server.execute("alter table people add column ip inet, add column spot point", people.name)
    tables = {"people": Table(classification="confidential", pii=("ip", "spot"))}
    with pytest.raises(masking.NotMaskable, match=r"people.ip: .* a inet could(.|\n)*people.spot"):
        masking.mask(server.superuser, people.model_copy(update={"tables": tables}), "key", lambda _: None)
