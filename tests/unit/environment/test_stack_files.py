"""Reading stack files, environments beside each other, and the roots they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from environment import load, program
from environment.derive import PUBLISHED_ROOTS, RefusedRoots
from environment.load import InvalidStack, parse, read_stack_file
from tests.unit.stacks import REMOVED, ROOTS, config

UNREADABLE = {
    "a list": ("- config\n", "a mapping"),
    "a word": ("config\n", "a mapping"),
    "a list of sections": ("config:\n  - keel:hosts\n", "keel:<section>"),
    "broken YAML": ("config: {keel:hosts: [\n", "valid YAML"),
    "a tab": ("config:\n\tkeel:etcd: {}\n", "valid YAML"),
    "an unknown anchor": ("config: *other\n", "valid YAML"),
    "an object of Python": ("config: !!python/object/apply:os.getcwd []\n", "valid YAML"),
    "a host twice": ("config:\n  keel:hosts:\n    db1: {}\n    db1: {}\n", "'db1' appears twice"),
    "a section twice": ("config:\n  keel:etcd: {}\n  keel:etcd: {}\n", "'keel:etcd' appears twice"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_stack_file_is_refused(name: str, tmp_path: Path) -> None:
    text, words = UNREADABLE[name]
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(text)
    with pytest.raises(InvalidStack, match=words):
        read_stack_file(path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.test.yaml"
    path.write_bytes("# größer\n".encode("latin-1"))
    with pytest.raises(InvalidStack, match="UTF-8"):
        read_stack_file(path)


@pytest.mark.parametrize("text", ["", "config:\n", "config: {}\n", "encryptionsalt: x\n"])
def test_an_empty_stack_tells_what_is_required(text: str, tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(text)
    with pytest.raises(InvalidStack) as refused:
        parse(read_stack_file(path), "test")
    assert [problem.path for problem in refused.value.problems] == ["environment", "hosts", "network", "products"]


def test_an_absent_stack_is_told_with_those_there_are() -> None:
    with pytest.raises(InvalidStack, match="an existing stack; there are ") as refused:
        read_stack_file(load.stack_file("prod"))
    assert all(repr(name) in str(refused.value) for name in ("ci", "dev", "production", "staging"))


def test_anchors_and_merges_are_read(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text("config:\n  keel:hosts:\n    a: &a {memory: 1024}\n    b: {<<: *a, cpus: 1.5}\n")
    assert read_stack_file(path)["keel:hosts"]["b"] == {"memory": 1024, "cpus": 1.5}


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(InvalidStack, match="keel:redis"):
        parse(config("dev", {"redis": endless}), "test")


@pytest.mark.parametrize("key", ["hosts", 1])
def test_a_key_without_a_namespace_is_refused(key: object) -> None:
    with pytest.raises(InvalidStack, match="a key keel:<section>"):
        parse({**config("dev"), key: {}}, "test")  # type: ignore[dict-item]


def test_a_setting_without_its_path_is_told_how_to_set_it() -> None:
    """`pulumi config set keel:patroni.ttl 30` makes a section of that name."""
    with pytest.raises(InvalidStack, match=r"pulumi config set --path keel:patroni\.ttl"):
        parse({**config("dev"), "keel:patroni.ttl": "30"}, "test")


@pytest.mark.parametrize("name", ["Dev", "my_dev", "dev-", "1", "a.b", "d" * 32])
def test_an_environments_name_is_a_dns_label(name: str) -> None:
    """It is a part of host names, containers' names and certificates."""
    with pytest.raises(InvalidStack, match=name):
        program.load(name, config("dev"))


CLASHES = [
    ("ci", {"network.cidr": "10.88.0.0/16", "hosts.all1.address": "10.88.9.9"}, "network.cidr", "10.88.0.0/24"),
    ("ci", {"network.published.primary": 5220}, "network.published.primary", "keel:network.published.primary"),
    ("ci", {"network.published.redis": 2221}, "network.published.redis", "for host ops1"),
    ("ci", {"network.published.ssh": 6432}, "network.published.ssh (for host all1)", "published.pgbouncer"),
    ("staging", {"hosts.db1.ssh.hostname": "db2.production.example"}, "hosts.db1.ssh.hostname", "db2 of production"),
]


@pytest.mark.parametrize(("stack", "patch", "path", "words"), CLASHES, ids=[clash[2] for clash in CLASHES])
def test_environments_of_a_project_stay_apart(stack: str, patch: dict[str, Any], path: str, words: str) -> None:
    """ci beside a running dev on one machine; staging never on production's machines."""
    with pytest.raises(InvalidStack) as refused:
        program.load(stack, {**config(stack, patch), **ROOTS})
    assert any(words in str(problem) for problem in refused.value.problems if problem.path == path), refused.value


def test_a_broken_neighbour_does_not_stop_a_good_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = config("dev")
    monkeypatch.setattr(load, "STACKS", tmp_path)
    (tmp_path / "Pulumi.broken.yaml").write_text("config: [\n")
    assert program.load("dev", good).manifest.identity.name == "dev"


def test_dev_and_ci_need_no_secret() -> None:
    """Design, principle 6: they use the published roots."""
    assert program.load("dev", config("dev")).roots.access == PUBLISHED_ROOTS["access"]


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_missing_roots_are_told_all_at_once(stack: str) -> None:
    """PLAT-11: no literal stands in for a secret outside dev and ci."""
    with pytest.raises(RefusedRoots) as refused:
        program.load(stack, config(stack))
    for name in PUBLISHED_ROOTS:
        assert f"keel:{name} is not set: pulumi config set --secret keel:{name}" in str(refused.value)


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_published_roots_are_refused(stack: str) -> None:
    """PLAT-11: dev's roots, which everybody knows, do not open production."""
    published = {f"keel:{name}": value for name, value in PUBLISHED_ROOTS.items()}
    with pytest.raises(RefusedRoots) as refused:
        program.load(stack, {**config(stack), **published, "keel:pki": "short"})
    told = str(refused.value)
    assert "keel:access is the published root" in told
    assert "keel:backup is the published root" in told
    assert "keel:pki has 5 characters; at least 32" in told
    assert not any(value in told for value in PUBLISHED_ROOTS.values())


@pytest.mark.parametrize("stack", ["dev", "production"])
def test_a_second_repository_needs_its_keys(stack: str) -> None:
    """Nothing derives them; in the stack file of a machine room they are secrets like the roots."""
    wanted = config(stack, {"repository.second": {"endpoint": "s3.example.com", "bucket": "backups"}})
    with pytest.raises(RefusedRoots) as refused:
        program.load(stack, {**wanted, **ROOTS, "keel:s3_key": "the access key"})
    assert "keel:s3_secret is not set" in str(refused.value) and "keel:s3_key" not in str(refused.value)
    loaded = program.load(
        stack, {**wanted, **ROOTS, "keel:s3_key": "the access key", "keel:s3_secret": "the secret key"}
    )
    assert (loaded.roots.s3_key, loaded.roots.s3_secret) == ("the access key", "the secret key")
    assert "the secret key" not in loaded.manifest.model_dump_json() + loaded.settings.model_dump_json()


def test_a_published_root_under_another_name_is_refused_too() -> None:
    with pytest.raises(RefusedRoots, match="keel:access is the published root"):
        program.load("production", {**config("production"), **ROOTS, "keel:access": PUBLISHED_ROOTS["backup"]})


def test_roots_of_ones_own_are_used() -> None:
    loaded = program.load("production", {**config("production"), **ROOTS})
    assert (loaded.roots.access, loaded.roots.pki, loaded.roots.backup) == tuple(
        ROOTS[f"keel:{name}"] for name in ("access", "pki", "backup")
    )


def test_settings_and_roots_are_refused_together() -> None:
    """PLAT-11: whoever corrects the settings is not sent back for the secrets; no value of one is shown."""
    patch = {"hosts": REMOVED, "repository.second": {"endpoint": "s3.example.com", "bucket": "backups"}}
    secrets = {"keel:access": PUBLISHED_ROOTS["access"], "keel:pki": "short"}
    with pytest.raises(InvalidStack) as refused:
        program.load("production", {**config("production", patch), **secrets})
    told = str(refused.value)
    assert "stacks/Pulumi.production.yaml: 6 setting(s) refused\n" in told and "keel:hosts is not set" in told
    assert "keel:access is the published root" in told and PUBLISHED_ROOTS["access"] not in told
    assert "keel:pki has 5 characters" in told and "short" not in told
    assert all(f"keel:{name} is not set" in told for name in ("backup", "s3_key", "s3_secret"))


def test_of_an_environment_without_a_kind_no_root_is_refused() -> None:
    """Which roots it may have is not known."""
    with pytest.raises(InvalidStack, match=r"1 setting\(s\) refused\n  keel:environment\.kind = 'prod'"):
        program.load("production", config("production", {"environment.kind": "prod"}))
