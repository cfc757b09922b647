"""Products by the name an operator types."""

from __future__ import annotations

from environment.errors import KeelError
from environment.manifest import Manifest
from environment.products import Product


class UnknownProduct(KeelError):
    """The environment has no such product: the name, and those it has."""


def product_of(manifest: Manifest, name: str) -> Product:
    """The product called ``name``. Raises UnknownProduct."""
    entry = manifest.products.get(name)
    if entry is None:
        listed = ", ".join(manifest.products)
        raise UnknownProduct(f"{manifest.identity.name} has no product {name!r}; it has {listed}")
    return entry.product
