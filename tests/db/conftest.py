"""What the database tests import by name; their fixtures are registered by the conftest.py of the checkout."""

from tests.db.fixtures import LOCALE, chosen_major, only, provisioned, spec_of

__all__ = ["LOCALE", "chosen_major", "only", "provisioned", "spec_of"]
