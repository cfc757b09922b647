"""No second list of anything (design, principle 1): what stands once is searched for everywhere else."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from environment import names
from environment.load import ROOT
from environment.products import catalogue
from keel_host import config
from roles import paths
from tests.unit.test_layers import LAYERS

LOGINS = (names.ADMIN, names.MONITOR, names.BACKUP, names.PGBOUNCER, names.SESSIONS, names.REPLICATION, names.REWIND)
FOLDERS = (
    paths.KEEL,
    paths.LIBRARY,
    paths.SOCKETS,
    *(value for key, value in vars(names).items() if key.endswith("_VOLUME")),
)


def code() -> Iterator[tuple[str, str]]:
    """Every program, template and module of ours: path below the root, and text without what is only said in words.

    Tests are left out: they may say again what they expect.
    """
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*")):
            if (
                path.is_file()
                and "__pycache__" not in path.parts
                and path.suffix in ("", ".py", ".j2", ".conf", ".service", ".sql")
            ):
                yield str(path.relative_to(ROOT)), without_words(path.read_text())


def without_words(text: str) -> str:
    """Docstrings and comment lines removed."""
    text = re.sub(r'^\s*"""[^"].*?"""$', "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^\s*(#|--) .*$", "", text, flags=re.MULTILINE)


def naming(pattern: str) -> set[str]:
    """Files in whose code the pattern is found."""
    return {path for path, text in code() if re.search(pattern, text)}


def test_what_is_only_said_is_not_code() -> None:
    text = (
        '"""Says\n\n/etc/keel.\n"""\n# of /etc/keel\nA = "/etc/keel"\n"""/etc/keel again."""\nB = """\nselect 1\n"""\n'
    )
    assert without_words(text).split() == ["A", "=", '"/etc/keel"', "B", "=", '"""', "select", "1", '"""']


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_of_the_cluster_has_its_name_in_one_place(login: str) -> None:
    assert naming(rf"\b{login}\b") == {"environment/names.py"}


@pytest.mark.parametrize("label", [names.LABEL, names.IMAGE_LABEL, names.LOOKUP])
def test_a_label_and_the_look_up_have_their_name_in_one_place(label: str) -> None:
    assert naming(rf"[\"'=\s]{re.escape(label)}\b") == {"environment/names.py"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_keel_on_hosts_has_its_path_in_one_place(folder: str) -> None:
    """What lies in it follows from its name: no code begins a path with it."""
    homes = {str(config.FOLDER): "keel_host/config.py"} | {
        value: "environment/names.py" for key, value in vars(names).items() if key.endswith("_VOLUME")
    }
    assert naming(rf"(?<![\w/]){re.escape(folder)}(?![\w-])") == {homes.get(folder, "roles/paths.py")}


def test_no_path_on_hosts_is_written_in_two_files() -> None:
    """Of Keel's own files and of other programs' configuration that it writes. Hosts' alone: not of the machine that Keel is
    installed on, nor of the images that tests use."""
    found: dict[str, set[str]] = {}
    for path, text in code():
        if path.startswith(("toolchain/", "tools/")):
            continue
        for written in re.findall(r"(?<![\w/.}])/(?:etc|root|run|var|usr/local)/[\w./@-]+", text):
            found.setdefault(written.rstrip("./"), set()).add(path)
    assert {written: sorted(files) for written, files in found.items() if len(files) > 1} == {}


def test_alembic_has_a_section_for_each_product() -> None:
    """PLAT-26: and each leads to that product's own history."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "alembic.ini")
    of_logging = re.compile(r"alembic|loggers|handlers|formatters|(logger|handler|formatter)_\w+")
    found = {
        section: ROOT / Path(settings[section]["version_locations"])
        for section in settings.sections()
        if not of_logging.fullmatch(section)
    }
    assert found == {name: ROOT / "migrations" / name / "versions" for name in catalogue()}
    assert all(folder.is_dir() for folder in found.values())


KNOWS_A_PRODUCT = {
    "ops/steps/checks.py": "two checks of the verification are of one product's own requirements (JEEX-06, JEEX-12)",
}


def test_no_program_knows_a_product_by_name() -> None:
    """Its facts are in its folder (db/<product>) and in its history (migrations/<product>)."""
    products = "|".join(catalogue())
    own = re.compile(rf"(db|migrations)/({products})/")
    assert {path for path in naming(rf"[\"'](?:{products})[\"']") if not own.match(path)} == KNOWS_A_PRODUCT.keys()
