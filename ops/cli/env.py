"""`keel env PRODUCT`: the lines of a product's `.env` file (CF-37, BAC-51), in the group whose commands are about environments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from environment.place import CA, Place
from ops.cli.console import Environment
from ops.cli.environments.listing import list_
from ops.cli.environments.new import new
from ops.cli.environments.remove import remove

if TYPE_CHECKING:
    from environment.derive import Roots
    from environment.manifest import Manifest
    from environment.products import Product

PLACEHOLDER = "CHANGE_ME"
AUTHORITY = (
    "who signs the servers' certificates, as asyncpg and psycopg look for it; `./keel ca` prints what belongs there"
)
PRODUCT = "PRODUCT"
"""How the help of the group calls the command for any word that is no command: no product has a name in capitals."""


class CommandOrProduct(TyperGroup):
    """A word that is no command of the group is a product's name, with options of :func:`env` before or after it."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command ``cmd_name``, else that for products."""
        return super().get_command(ctx, cmd_name if cmd_name in self.commands else PRODUCT)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that ``args`` begin with, and its own: a product's name among them."""
        return super().resolve_command(ctx, args if args[0] in self.commands else [PRODUCT, *args])


app = typer.Typer(
    cls=CommandOrProduct,
    no_args_is_help=True,
    context_settings={"ignore_unknown_options": True},
    help="Make, list and remove environments, or print the connection settings of a product.",
)
app.command()(new)
app.command("list")(list_)
app.command()(remove)


class Variable(NamedTuple):
    """One line of the file."""

    name: str
    value: str
    purpose: str

    @property
    def without_password(self) -> Variable:
        """The same with a placeholder for the password in its URL."""
        return self._replace(value=re.sub(r"(?<=:)[^:/@]+(?=@)", PLACEHOLDER, self.value))


@app.command(PRODUCT)
def env(
    product: Annotated[str, typer.Argument(help="name of the product's database")],
    environment: Environment = "dev",
    template: Annotated[bool, typer.Option("--template", help="without passwords, for .env.template")] = False,
    place: Annotated[
        Place | None,
        typer.Option(
            "--from",
            help="where the program is: docker, in a container of the environment's network; host, on this machine; machine, "
            "on another one of the hosts' network. Default: host, or machine where the hosts are machines",
        ),
    ] = None,
) -> None:
    """Print the connection settings of PRODUCT as lines for a `.env` file. Without --template they hold passwords."""
    from ops.hosts.environment import load_environment
    from ops.products.lookup import product_of

    loaded = load_environment(environment)
    found = variables(loaded.manifest, loaded.roots, product_of(loaded.manifest, product), place)
    options = (f" --from {place}" if place else "") + (" --template" if template else "")
    print(
        f"# {product} in the environment {environment}, as printed by: ./keel --env {environment} env {product}{options}"
    )
    if place is Place.DOCKER and (note := _without_range(loaded.manifest)):
        print(f"# {note}")
    for variable in (v.without_password if template else v for v in found):
        print(f'# {variable.purpose}\n{variable.name}="{variable.value}"')


def _without_range(manifest: Manifest) -> str:
    """What to do where Docker does not take addresses of containers from the range that is admitted; "" where it does."""
    from environment.names import network
    from ops.hosts.docker import inspect

    name, wanted = network(manifest.identity.name), manifest.containers
    found = inspect("network", name)
    if not wanted or not found or any(each.get("IPRange") == str(wanted) for each in found["IPAM"]["Config"]):
        return ""
    return (
        f"The network {name} was made without the range {wanted}, which is admitted: give each container an address of it "
        "(ipv4_address in the compose file), or make the environment again"
    )


def variables(manifest: Manifest, roots: Roots, product: Product, place: Place | None = None) -> tuple[Variable, ...]:
    """The settings, drivers named (PLAT-24); as in the seed, the synchronous URL is for migrations (CF-37). Raises OutOfReach."""
    from environment.urls import product_urls, redis_url, usual, verifies

    place = place or usual(manifest)
    urls = product_urls(manifest, roots, product, place)
    direct = "migrations: psycopg, directly to the primary. This role sees all rows: do not use it in the application"
    return (
        Variable("DATABASE_URL", urls["application_asyncpg"], "the application: asyncpg, through the pooler"),
        Variable("DATABASE_SYNC_URL", urls["migration"], direct),
        Variable("DATABASE_READONLY_URL", urls["readonly"], "reports: psycopg, through the pooler to a replica"),
        *_worker(urls),
        Variable(
            "REDIS_URL",
            redis_url(manifest, roots, product, place),
            f"sessions and cache: keys and channels that begin with {product.name}:",
        ),
        *([Variable("PGSSLROOTCERT", CA, AUTHORITY)] if verifies(manifest, place) else []),
    )


def _worker(urls: dict[str, str]) -> tuple[Variable, ...]:
    if "worker" not in urls:
        return ()
    return (Variable("DATABASE_WORKER_URL", urls["worker"], "background workers: they read the rows of all users"),)
