"""The host image's recipe, from the roles' package lists. Its tag is a digest of the recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from environment.names import CREATECLUSTER
from environment.settings import Release


def recipe(release: Release, packages: Sequence[str]) -> str:
    """The Dockerfile of a host of ``release`` with ``packages``."""
    environment = Environment(  # noqa: S701 - a Dockerfile, not HTML
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("host-image.Dockerfile.j2").render(
        release=release, packages=packages, createcluster=CREATECLUSTER
    )


def tag(release: Release, dockerfile: str) -> str:
    """Name of the image that ``dockerfile`` makes: another recipe is another image."""
    digest = hashlib.sha256(dockerfile.encode()).hexdigest()[:12]
    return f"keel-host:{release.debian.value}-{release.postgres}-{digest}"
