"""The step `image`: the host image, with every package the roles declare, so that a cold start installs nothing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from environment import image, roles
from environment.load import ROOT, parse, read_stack_file, stack_file
from environment.names import IMAGE_LABEL
from environment.report import Report
from ops.hosts.docker import DockerFailed, build, image_id
from ops.hosts.session import Session


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Build the image unless it is there. Outputs its id, by which containers pin it."""
    return {"image": provide(inputs["tag"], inputs["dockerfile"], report)}


def provide(tag: str, dockerfile: str, report: Report, *, kind: str = "host") -> str:
    """Build the image ``tag`` unless it is there; its id. ``kind`` becomes its label. Raises DockerFailed."""
    found = image_id(tag)
    if found is None:
        _provide_base(dockerfile.split()[1])
        with tempfile.TemporaryDirectory(prefix="keel-image-") as folder:
            Path(folder, "Dockerfile").write_text(dockerfile)
            found = build(folder, tag, {IMAGE_LABEL: kind}, report)
    return found


def _provide_base(base: str) -> None:
    """The set-up provides the release's base image where it is not there yet (only dev's is by default)."""
    if image_id(base) is None:
        done = subprocess.run(
            [ROOT / "tools" / "setup", "--suite", base.partition(":")[2]], capture_output=True, text=True
        )
        if done.returncode:
            raise DockerFailed(f"the base image {base} cannot be provided: {(done.stdout + done.stderr)[-1500:]}")


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """Drift when the image is gone or another one carries its tag."""
    found = image_id(inputs["tag"])
    if found is None:
        return [f"image {inputs['tag']} is gone"]
    return [] if found == inputs["image"] else [f"image {inputs['tag']} is not the one that was built"]


def main(environment: str) -> str:
    """Build the image of ``environment`` unless it is there, and return its tag; for tests that need a server."""
    settings = parse(read_stack_file(stack_file(environment)), environment)
    dockerfile = image.recipe(settings.release, roles.packages(settings.release.postgres))
    tag = image.tag(settings.release, dockerfile)
    provide(tag, dockerfile, lambda text: print(text, file=sys.stderr))
    return tag


if __name__ == "__main__":
    print(main("dev"))
