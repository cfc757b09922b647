"""The step `image`: the host image, with every package the roles declare, so that a cold start installs nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ops.docker import build, image_id
from ops.session import Session


def apply(session: Session, inputs: dict[str, Any], report: Any) -> dict[str, Any]:
    """Build the image unless it is there. Outputs its id, by which containers pin it."""
    found = image_id(inputs["tag"])
    if found is None:
        with tempfile.TemporaryDirectory(prefix="keel-image-") as folder:
            Path(folder, "Dockerfile").write_text(inputs["dockerfile"])
            found = build(folder, inputs["tag"], {"keel.image": "host"}, report)
    return {"image": found}


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """Drift when the image is gone or another one carries its tag."""
    found = image_id(inputs["tag"])
    if found is None:
        return [f"image {inputs['tag']} is gone"]
    return [] if found == inputs["image"] else [f"image {inputs['tag']} is another one than was built"]
