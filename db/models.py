"""What all products' SQLAlchemy models share."""

import importlib

from sqlalchemy import MetaData

from environment.products import Product

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}
"""PostgreSQL's own names for constraints, so that the seeds' DDL and the models agree (PLAT-13, PLAT-14)."""


def metadata(product: Product) -> MetaData:
    """The product's tables, from `db/<name>/models.py`."""
    found = importlib.import_module(f"db.{product.name}.models").Base.metadata
    if not isinstance(found, MetaData):
        raise TypeError(f"db/{product.name}/models.py: Base.metadata is not a MetaData")
    return found
