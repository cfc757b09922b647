"""Everything that can be different between a product's database and this checkout, by aspect (JEEX-26, PLAT-29)."""

from dataclasses import astuple
from typing import NamedTuple

import psycopg

from db import indexes, migrate, release, repeatable
from db.url import conninfo
from environment.products import Product
from environment.visible import visible
from keel_host import catalogue


class Finding(NamedTuple):
    """One difference."""

    aspect: str
    """heads, revision, models, functions, catalogue, indexes or release."""
    sentence: str
    undo: str = ""
    """SQL that would undo it, where a single statement does."""
    stays: bool = False
    """No upgrade repairs it."""


def drift(product: Product, url: str, held: str | None = None) -> list[Finding]:
    """What an upgrade would repair or has to be repaired by hand; changes nothing. Raises MigrationError.

    A database that is not at head, because it is behind or `held` at an older revision, is not compared with the
    models: they describe the head.
    """
    try:
        head = migrate.head(product)
    except migrate.MigrationError as error:
        return [Finding("heads", str(error))]
    current, target = migrate.current(product, url), migrate.resolve(product, held)
    with psycopg.connect(conninfo(url)) as connection:
        found = [Finding("indexes", sentence, stays=True) for sentence in indexes.invalid_indexes(connection)]
    if current != target:
        why = f"the stack holds it at {target}" if held else f"this checkout has {head}"
        found.append(Finding("revision", f"at revision {current}, {why}"))
    if current == target == head:
        found += [Finding("models", one.what, one.undo, stays=True) for one in migrate.differences(product, url)]
        found += [Finding("functions", *astuple(one)) for one in repeatable.differences(product, url)]
    return found


def everything(product: Product, url: str, held: str | None = None) -> list[Finding]:
    """The same, with the recorded catalogue and the release gate."""
    found = drift(product, url, held)
    if any(finding.aspect == "heads" for finding in found):
        return found
    with psycopg.connect(conninfo(url)) as connection:
        if migrate.current(product, url) == migrate.head(product):
            differences = catalogue.differences(catalogue.recorded(product.catalogue_file), catalogue.read(connection))
            found += [Finding("catalogue", sentence) for sentence in differences]
        found += [Finding("release", sentence) for sentence in release.truncated(product, connection)]
    # A line break in a name must not look like the next finding.
    return [one._replace(sentence=visible(one.sentence, kept="")) for one in found]
