"""Where a scratch server's PostgreSQL comes from: dev's host image, or a small one of another Debian release. In both with what
brings the products' extensions.

python -m tools.scratch_images 15 17   builds what is missing, before several processes need it at once.
"""

from __future__ import annotations

import hashlib
import os
import sys

from environment import products
from environment.names import CREATECLUSTER
from environment.versions import DEBIAN_POSTGRES
from ops.steps import image

DEFAULT = 18
"""The major of dev."""

MAJORS = tuple(sorted(DEBIAN_POSTGRES.values()))
"""Those that a Debian release has in its own archive."""

# The server's package brings contrib. No cluster is made: each test session makes its own, in memory.
RECIPE = """\
FROM debian:{suite}
ENV DEBIAN_FRONTEND=noninteractive
RUN printf 'Acquire::Check-Valid-Until "false";\\n' > /etc/apt/apt.conf.d/10-keel \\
 && mkdir -p {folder} \\
 && printf 'create_main_cluster = false\\n' > {createcluster} \\
 && apt-get update -q && apt-get install -y -q --no-install-recommends {packages} \\
 && apt-get clean && rm -rf /var/lib/apt/lists/*
"""

FURTHER = """\
FROM {image}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends {packages} && apt-get clean
"""


def tag(major: int) -> str:
    """Name of an image with PostgreSQL `major`, built when it is not there: another recipe is another image."""
    further = products.packages(products.catalogue().values(), major)
    suite = next(release.value for release, shipped in DEBIAN_POSTGRES.items() if shipped == major)
    if major == DEFAULT:
        host = os.environ.get("KEEL_TEST_IMAGE") or image.main("dev")
        if not further:
            return host
        recipe = FURTHER.format(image=host, packages=" ".join(further))
    else:
        folder = CREATECLUSTER.rpartition("/")[0]
        wanted = " ".join((f"postgresql-{major}", *further))
        recipe = RECIPE.format(suite=suite, packages=wanted, folder=folder, createcluster=CREATECLUSTER)
    name = f"keel-scratch:{suite}-{major}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    image.provide(name, recipe, lambda text: print(text, file=sys.stderr), kind="scratch")
    return name


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(tag(int(wanted)))
