"""The kind of an environment, read without anything but Python, is the one that the settings have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from environment import kind
from environment.kind import ROOT, Kind
from environment.load import read_stack_file, stack_file
from environment.settings import KindSection

REST = {"keel:network": {"cidr": "10.88.0.0/24"}, "keel:hosts": {"kind": {"kind": "staging"}}}


def read(text: str, folder: Path) -> Kind:
    """What the settings say."""
    (folder / "Pulumi.read.yaml").write_text(text)
    section = read_stack_file(folder / "Pulumi.read.yaml")["keel:environment"]
    return KindSection.model_validate(json.loads(section) if isinstance(section, str) else section).kind


@pytest.mark.parametrize("provider", [{}, {"provider": "docker"}])
@pytest.mark.parametrize("flow", [True, False, None])
@pytest.mark.parametrize("style", [None, '"', "'"])
@pytest.mark.parametrize("stated", list(Kind))
def test_every_form_that_a_library_writes_is_read(
    tmp_path: Path, stated: Kind, style: str | None, flow: bool | None, provider: dict[str, str]
) -> None:
    """PLAT-47: keys and values quoted or not, in one line or several, before and after others."""
    for section in ({"kind": stated.value, **provider}, {**provider, "kind": stated.value}):
        for config in ({"keel:environment": section, **REST}, {**REST, "keel:environment": section}):
            text = yaml.safe_dump(
                {"config": config}, default_flow_style=flow or None, default_style=style, sort_keys=False
            )
            if flow:
                text = "config:\n" + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in config.items())
            assert kind.stated(text) == read(text, tmp_path) == stated


@pytest.mark.parametrize(
    "text",
    [
        "config:\n  keel:environment: {kind: ci} # not staging: {kind: staging}\n",
        "config:\r\n  keel:environment:\r\n    # kind: staging\r\n    kind: ci   # {kind: dev}\r\n  keel:hosts: {}\r\n",
        "config:\n  keel:environment:\n\n    provider: docker\n\n    kind: 'ci'\nencryptionsalt: v1:kind\n",
        "config:\n  keel:environment: '{\"kind\":\"ci\"}'\n",
        "config:\n    \"keel:environment\" : { provider: docker , kind : ci }\n",
    ],
)  # fmt: skip
def test_what_people_write_is_read(tmp_path: Path, text: str) -> None:
    assert kind.stated(text) == read(text, tmp_path) == Kind.CI


@pytest.mark.parametrize(
    "text",
    [
        "",
        "config: {}\n",
        "config:\n  # keel:environment: {kind: ci}\n",
        "config:\n  keel:environment:\n  keel:hosts:\n    kind: ci\n",
        "config:\n  keel:environment: {kind: city}\n",
        "config:\n  keel:environment: {kind: ci-staging}\n",
        "config:\n  keel:environment: {kind: &k staging, other: *k}\n",
        "config:\n  keel:environment: {mankind: ci}\n",
        "config:\n  keel:environment:\n    kind: staging\n    kind: ci\n",
        "config:\n  keel:environment: {kind: staging}\n  keel:environment: {kind: ci}\n",
    ],
)
def test_what_is_not_beyond_doubt_is_no_kind(text: str) -> None:
    """Then Pulumi asks, and no published passphrase is used."""
    assert kind.stated(text) is None


@pytest.mark.parametrize(
    ("environment", "said"), [("dev", "dev remade\n"), ("ci", "ci remade\n"), ("staging", "staging\n"), ("nowhere", "")]
)
def test_make_asks_it(environment: str, said: str) -> None:
    """With Python alone: no package of the toolchain is there when make begins."""
    command = [sys.executable, "-S", "-m", "environment.kind", environment]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == said


def test_the_files_of_the_repository_say_it() -> None:
    for stated in Kind:
        assert kind.of(stated.value) == read_stack_file(stack_file(stated.value))["keel:environment"]["kind"] == stated


def test_a_file_that_cannot_be_read_has_no_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "STACKS", tmp_path)
    (tmp_path / "Pulumi.binary.yaml").write_bytes(b"config:\n  keel:environment: {kind: ci}\n\xff")
    (tmp_path / "Pulumi.folder.yaml").mkdir()
    assert [kind.of(name) for name in ("binary", "folder", "nowhere", "../x", "a\0b")] == [None] * 5
