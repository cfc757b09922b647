"""A stack file means the same to `./keel` and to Pulumi: Pulumi itself is asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from environment.load import InvalidStack, parse, read_stack_file
from environment.products import catalogue
from environment.settings import Settings
from tests.unit.stacks import ROOTS, config

WORDS = [
    "no", "No", "NO", "yes", "on", "off", "Off", "y", "n", "true", "True", "TRUE", "false", "null", "Null", "~",
    "010", "08", "0o14", "0x1F", "0b11", "1_000", "12", "+12", "-12", "1:30", "190:20:30", "1e3", "1.0", ".5", "1.", "0",
    "2026-11-22", "=", "<", "-", "ja", "0.10", "1e", "0x", "._", "nan", "inf", "1__0", "0777", "00",
]  # fmt: skip
"""Plain words that one reader of YAML or another takes for something else than a word. A time is read by
:func:`environment.recovery.target`, in both forms."""


@pytest.fixture(scope="module")
def as_pulumi_reads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The words as values, as entries of a list and as keys, as Pulumi hands them to the program."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "Pulumi.yaml").write_text("name: words\nruntime: python\n")
    env = {**os.environ, "PULUMI_BACKEND_URL": f"file://{folder}", "PULUMI_CONFIG_PASSPHRASE": "words"}

    def pulumi(*arguments: str) -> str:
        done = subprocess.run(["pulumi", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    pulumi("stack", "init", "words")
    stack = folder / "Pulumi.words.yaml"
    salt = stack.read_text()
    stack.write_text(written() + salt)
    said = json.loads(pulumi("config", "--stack", "words", "--json"))
    return {key: json.loads(entry["value"]) for key, entry in said.items()}


def written() -> str:
    """A stack file with every word in every place."""
    lines = ["config:", "  keel:values:"]
    lines += [f"    w{number}: {word}" for number, word in enumerate(VALUES)]
    lines += ["  keel:list:", "    of:", *(f"      - {word}" for word in VALUES), "  keel:keys:"]
    lines += [f"    k{number}:\n      {word}: here" for number, word in enumerate(VALUES)]
    return "\n".join(lines) + "\n"


VALUES = [word for word in WORDS if word not in ("-", "2026-11-22")]


def test_every_word_means_to_keel_what_it_means_to_pulumi(as_pulumi_reads: dict[str, Any], tmp_path: Path) -> None:
    """X-01: two readers of one file see one environment, whatever a value, an entry or a name is called."""
    (tmp_path / "Pulumi.words.yaml").write_text(written())
    mine = json.loads(json.dumps(read_stack_file(tmp_path / "Pulumi.words.yaml")))
    for section, read in as_pulumi_reads.items():
        differing = {key: (mine[section][key], value) for key, value in read.items() if mine[section][key] != value}
        assert differing == {}, section


@pytest.mark.parametrize("name", ["no", "on", "yes", "off", "y", "true", "null-1", "e3"])
def test_a_host_is_called_as_it_is_written(name: str, tmp_path: Path) -> None:
    """A host `no` is no truth: it arrives under its own name, without quotes too."""
    path = tmp_path / "Pulumi.words.yaml"
    path.write_text(f"config:\n  keel:hosts:\n    {name}: {{address: 10.88.0.9, groups: [monitor]}}\n")
    hosts = read_stack_file(path)["keel:hosts"]
    settings: Settings = parse({**config("dev", {f"hosts.{key}": hosts[key] for key in hosts}), **ROOTS}, "test")
    assert name in settings.hosts


@pytest.mark.parametrize(
    "name", ["null", "~", "12", "1e3", "0x10", "-db", "'-db'", '"db 1"', '"d\'b"', '"db;x"', '"../db"', '"$(x)"']
)
def test_what_is_no_hosts_name_is_refused(name: str, tmp_path: Path) -> None:
    """Not taken for another name: nothing is called `null` or `16` because of what a reader made of it."""
    path = tmp_path / "Pulumi.words.yaml"
    path.write_text(f"config:\n  keel:hosts:\n    {name}: {{address: 10.88.0.9, groups: [monitor]}}\n")
    hosts = read_stack_file(path)["keel:hosts"]
    with pytest.raises(InvalidStack, match="lower-case letters, digits and inner hyphens"):
        parse({**config("dev"), "keel:hosts": {**config("dev")["keel:hosts"], **hosts}, **ROOTS}, "test")


def test_the_products_names_need_no_quotes() -> None:
    """Those of this checkout, and their logins: none is a word that YAML, SQL or a shell reads in its own way."""
    for product in catalogue().values():
        assert not {product.name, *product.login_roles} & set(WORDS)
