"""The products of the platform, read from `db/<name>/product.yaml`.

A product is called by the name of its database everywhere (PLAT-05). This module is the one place where the
names of its roles come from; it imports neither Pulumi nor pyinfra nor a database driver.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from environment.errors import KeelError
from environment.types import Model, ProductName

ROOT = Path(__file__).resolve().parent.parent

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""A role, table or column: snake_case, and well below the 63 bytes at which PostgreSQL cuts (PLAT-13)."""

Extension = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,47}$")]
"""As in pg_available_extensions; uuid-ossp has a dash (BAC-10)."""

Package = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.+-]|\{postgres\})+$")]
"""A Debian package; `{postgres}` is replaced by the server's major."""

ENV_COMMANDS = frozenset({"new", "list", "remove"})
"""What `./keel env` does not take for a product's name."""

OTHERS_WORDS = frozenset(
    {
        "all",
        "none",
        "pgbouncer",
        "postgres",
        "public",
        "replication",
        "samegroup",
        "samerole",
        "sameuser",
        "template0",
        "template1",
    }
)
"""What pg_hba, PgBouncer or CREATE ROLE take for something else, or that is there already."""

_REVISION = re.compile(r"([0-9]{8}_[0-9]{4}|[0-9]{3,4})(?=_)")

Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]*(ms|s|min)$")]
"""A PostgreSQL interval setting with its unit, such as `10s`."""

SeedSet = Literal["reference", "demo"]
"""`reference` belongs to the product and may enter production, `demo` never does (PLAT-30)."""


class ProductError(KeelError):
    """A `product.yaml` that cannot be used: the file, the field and what is allowed."""


class Table(Model):
    """How sensitive a table is (ADA-34, JEEX-35)."""

    classification: Literal["internal", "confidential"] = Field(description="How sensitive its rows are.")
    pii: tuple[Name, ...] = Field(default=(), description="Columns with personal data, masked outside production.")
    archive: bool = Field(default=False, description="Rows as they were when they left another table, updated_at too.")
    shared: Literal["read", "keep", "write"] | None = Field(
        default=None,
        description="Rows that belong to no user, without row-level security: what the application may do with them. "
        "`keep`: everything but DELETE, for rows that are only marked as deleted (ADA-13).",
    )

    writes: bool = Field(
        default=True, description="False: only the database writes its rows, by a trigger; the application reads them."
    )

    @property
    def rights(self) -> tuple[str, ...]:
        """The application's privileges, all of them (PLAT-10); grants.sql gives exactly these."""
        if self.shared == "read" or not self.writes:
            return ("SELECT",)
        return ("SELECT", "INSERT", "UPDATE") if self.shared == "keep" else ("SELECT", "INSERT", "UPDATE", "DELETE")


class Dumps(Model):
    """Forms of a product's logical dumps, in addition to pg_dump's own format of the whole database (PLAT-31)."""

    plain: bool = Field(default=False, description="Also the whole database as SQL text, gzipped (BAC-34).")
    selected: tuple[Name, ...] = Field(default=(), description="Also a dump of these tables alone (CF-28).")


class Product(Model):
    """What the platform has to know of a product before its database exists."""

    name: ProductName = Field(description="Name of the folder, the database and the Alembic section.")
    title: str = Field(description="The product's name for people.")
    app_role: Name = Field(description="Login of the application; the seeds name it.")
    worker_role: Name | None = Field(
        default=None, description="Login of background workers, who read the rows of all users (RIQ-03)."
    )
    creates_in_dev: bool = Field(
        default=False, description="The application may create objects in `public`, in dev only (BAC-11, X-46)."
    )
    extensions: tuple[Extension, ...] = Field(description="Exact set in pg_extension, apart from plpgsql (PLAT-06).")
    packages: tuple[Package, ...] = Field(
        default=(),
        description="Debian packages that bring extensions which the server's own package does not: `postgresql-{postgres}-pgvector` brings "
        "`vector`. Where a server runs they are installed before the extension is made.",
    )
    identity_type: Literal["uuid", "integer"] | None = Field(
        default=None,
        description="Type of app.current_user_id in the policies; null: no row-level security.",
    )
    tls: bool = Field(default=False, description="Its logins come over TLS only, in dev too (X-51).")
    auth_path: bool = Field(description="Has functions that find a user before the identity is known (PLAT-18).")
    statement_timeout: Duration = Field(description="Of the application role only (ADA-02, X-12).")
    tables: dict[Name, Table] = Field(description="Every table, classified.")
    revision_ids: Literal["number", "timestamp"] = Field(
        default="number", description="What a new revision's id begins with: 004, or 20260131_0930 (BAC-30)."
    )
    dumps: Dumps = Field(default_factory=Dumps, description="Forms of its logical dumps.")
    renamed: dict[Name, dict[Name, Name]] = Field(
        default_factory=dict,
        description="Table → truncated column → its name. No release while one exists (RIQ-26, PLAT-13).",
    )

    @model_validator(mode="after")
    def _names_mean_it_alone(self) -> Self:
        roles = [self.owner_role, *self.login_roles, *([self.auth_role] if self.auth_role else [])]
        wrong = [name for name in (self.name, *roles) if name in OTHERS_WORDS or name.startswith(("pg_", "keel_"))]
        # The pool of `shop`'s replicas is called `shop_ro`.
        wrong += [self.name] * (self.name.endswith("_ro") or self.name in ENV_COMMANDS) + [
            role for role in set(roles) if roles.count(role) > 1
        ]
        wrong += [self.name] * ("_scratch_" in self.name)  # as of a throwaway copy (environment/scratch.py)
        if wrong:
            raise ValueError(
                f"{', '.join(sorted(wrong))} is taken, or means something else to PostgreSQL, PgBouncer or Keel"
            )
        return self

    @model_validator(mode="after")
    def _dumps_its_own_tables(self) -> Self:
        if unknown := sorted(set(self.dumps.selected) - set(self.tables)):
            raise ValueError(f"dumps.selected names {', '.join(unknown)}, which `tables` does not list")
        return self

    @property
    def owner_role(self) -> str:
        """Owns every object; cannot log in, and row-level security applies to it."""
        return f"{self.name}_owner"

    @property
    def migrator_role(self) -> str:
        """Logs in to migrate: becomes the owner by SET ROLE, sees all rows as itself (PLAT-19)."""
        return f"{self.name}_migrator"

    @property
    def readonly_role(self) -> str:
        """Logs in to read, under the same row-level security as the application."""
        return f"{self.name}_readonly"

    @property
    def auth_role(self) -> str | None:
        """Owns the look-up functions of PLAT-18; cannot log in."""
        return f"{self.name}_auth" if self.auth_path else None

    @property
    def login_roles(self) -> tuple[str, ...]:
        """The roles that need a password."""
        return *self.pooled_roles, self.migrator_role

    @property
    def client_roles(self) -> tuple[str, ...]:
        """The product's own programs: application and workers. Admitted when the database is at head (PLAT-28)."""
        return (self.app_role, self.worker_role) if self.worker_role else (self.app_role,)

    @property
    def pooled_roles(self) -> tuple[str, ...]:
        """The roles that come through the pooler: not the migrator, who sees all rows (PLAT-21)."""
        return *self.client_roles, self.readonly_role

    @property
    def bounded_roles(self) -> tuple[str, ...]:
        """Logins whose work ends at the product's limits: all but the migrator's, which takes as long as it must (X-12)."""
        return self.pooled_roles

    @property
    def tenant_tables(self) -> tuple[str, ...]:
        """Tables whose rows belong to users: row-level security is enabled and forced there (PLAT-15)."""
        return tuple(name for name, table in self.tables.items() if self.identity_type and not table.shared)

    @property
    def folder(self) -> Path:
        """Models, repeatable SQL and seeds."""
        return ROOT / "db" / self.name

    @property
    def catalogue_file(self) -> Path:
        """The record of what its database consists of at head (keel_host/catalogue.py)."""
        return self.folder / "catalogue.txt"

    def seed_file(self, which: SeedSet) -> Path:
        """The rows of a seed set; a product without such rows has no file."""
        return self.folder / "seeds" / f"{which}.sql"


def read(path: Path) -> Product:
    """Read one `product.yaml`; the folder gives the name. Raises ProductError."""
    try:
        facts = yaml.safe_load(path.read_text())
        return Product.model_validate({"name": path.parent.name, **facts})
    except (yaml.YAMLError, TypeError, ValidationError) as error:
        raise ProductError(f"{path}: {error}") from error


@cache
def catalogue() -> dict[str, Product]:
    """Every product in this checkout by name, in alphabetical order."""
    return {path.parent.name: read(path) for path in sorted((ROOT / "db").glob("*/product.yaml"))}


def revisions(name: str) -> tuple[str, ...]:
    """Ids of a product's revisions: the names of their files, in order (X-14)."""
    return tuple(sorted(path.stem for path in (ROOT / "migrations" / name / "versions").glob("*.py")))


def short(revision: str) -> str:
    """The number or time in front of a revision's id: 007 of 007_add_evidence_metadata; an id without one stays."""
    found = _REVISION.match(revision)
    return found[0] if found else revision


def packages(found: Iterable[Product], postgres: int) -> tuple[str, ...]:
    """The Debian packages that bring the extensions of products, for servers of the major ``postgres``."""
    return tuple(sorted({package.format(postgres=postgres) for product in found for package in product.packages}))
