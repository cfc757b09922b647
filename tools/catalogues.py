"""Write `db/<name>/catalogue.txt` of every product, or of those named, from a new database at head."""

import sys

from db import migrate
from environment.products import ROOT
from environment.products import catalogue as products
from keel_host import catalogue
from tools.scratch_server import provisioned, running, spec_of


def main(names: list[str]) -> None:
    """Start a scratch server, migrate, write."""
    with running() as server:
        provisioned(server, spec_of())
        for product in (products()[name] for name in names or products()):
            migrate.upgrade(product, server.url(product))
            with server.connect(product.name) as connection:
                product.catalogue_file.write_text(catalogue.render(catalogue.read(connection)))
            print(f"{product.catalogue_file.relative_to(ROOT)} written")


if __name__ == "__main__":
    main(sys.argv[1:])
