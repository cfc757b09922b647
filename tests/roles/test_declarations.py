"""What every role declares, on every host of every stack."""

from __future__ import annotations

from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from environment.roles import ROLES as FOLDER
from environment.roles import entry, stages
from roles.kit.declare import Role, Target
from roles.order import ROLES, of_stage
from tests.roles.targets import everything, manifest_of, placements, target

STACKS = ("dev", "ci", "staging")
PLACED = [(stack, role, host) for stack in STACKS for role, host in placements(manifest_of(stack))]
everywhere = pytest.mark.parametrize(
    ("stack", "role", "host"), PLACED, ids=[f"{stack}-{role.name}-{host}" for stack, role, host in PLACED]
)


def paths_of(role: Role, at: Target) -> list[str]:
    """Files and directories that ``role`` declares."""
    return [file.path for file in role.files(at)] + [folder.path for folder in role.directories(at)]


@everywhere
def test_a_role_renders_from_its_own_slice_twice_the_same(stack: str, role: Role, host: str) -> None:
    """A setting that role.yaml does not name cannot be read, so a change of it cannot be missed; undefined names
    in templates are errors; nothing depends on time or chance."""
    first = everything(role, target(role, host, manifest_of(stack)))
    assert first == everything(role, target(role, host, manifest_of(stack)))
    assert any(first)


def test_an_undefined_name_in_a_template_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="monitor"):
        ROLES["redis"].render("users.acl.j2", target(ROLES["redis"], "edge1", manifest_of("dev")))


@everywhere
def test_no_password_is_readable_for_everybody(stack: str, role: Role, host: str) -> None:
    """PLAT-22: files with a password are 0640 or stricter; none is in a command, a name or a repr."""
    at = target(role, host, manifest_of(stack))
    declared = everything(role, at)
    for password in at.roots.handed_out:  # type: ignore[attr-defined]
        for file in role.files(at):
            if password in file.content:
                assert int(file.mode, 8) & 0o137 == 0, file.path
        assert password not in repr(declared[:4])
        assert password not in repr(role.files(at))


@everywhere
def test_triggers_are_what_the_role_writes(stack: str, role: Role, host: str) -> None:
    """A path that nobody writes would never restart anything. The authorities' files are written by the role pki, programs by theirs."""
    at = target(role, host, manifest_of(stack))
    written = {file.path for file in role.files(at)} | {pair.directory for pair in role.certificates(at)}
    written |= {folder.path for folder in role.directories(at) if folder.read}
    for other in ("pki", "programs"):
        written |= {file.path for file in ROLES[other].files(target(ROLES[other], host, manifest_of(stack)))}
    for unit in role.units(at):
        assert {*unit.restart, *unit.reload} <= written
        assert not set(unit.restart) & set(unit.reload)


@everywhere
def test_paths_are_declared_once_and_absolute(stack: str, role: Role, host: str) -> None:
    at = target(role, host, manifest_of(stack))
    declared = paths_of(role, at)
    assert len(declared) == len(set(declared))
    assert all(path.startswith("/") for path in declared)


@pytest.mark.parametrize("stack", STACKS)
def test_no_two_roles_write_one_path(stack: str) -> None:
    manifest = manifest_of(stack)
    for host in manifest.hosts:
        written = [
            path
            for role in ROLES.values()
            if role.runs_on(host)
            for path in paths_of(role, target(role, host.name, manifest))
        ]
        assert len(written) == len(set(written))


def test_secrets_are_in_use() -> None:
    """The counterpart of the test above: passwords do reach files."""
    at = target(ROLES["postgres"], "db1", manifest_of("dev"))
    contents = "".join(file.content for file in ROLES["postgres"].files(at))
    assert len([p for p in at.roots.handed_out if p in contents]) == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ROLES)
def test_a_roles_folder_is_whole(name: str) -> None:
    """role.yaml, role.py, README.md, and no template that nothing renders."""
    folder = FOLDER / name
    assert {"role.yaml", "role.py", "README.md"} <= {path.name for path in folder.iterdir()}
    assert folder.joinpath("README.md").read_text().strip()
    rendering = (*folder.glob("*.py"), *folder.glob("templates/*"))
    source = "".join(path.read_text() for path in rendering)
    units = {path.name for path in folder.glob("templates/*.service")}
    unused = {path.name for path in folder.glob("templates/*") if path.name not in source} - units
    assert unused == set()
    assert entry(name).title


def test_what_is_declared_cannot_be_changed_afterwards() -> None:
    """Every host is compared with the same; what is found on one is all that grows."""
    modules = [
        import_module(f"roles.{path.relative_to(FOLDER).with_suffix('').as_posix().replace('/', '.')}")
        for path in FOLDER.glob("*/*.py")
    ]
    found = {
        kind for module in modules for kind in vars(module).values() if isinstance(kind, type) and is_dataclass(kind)
    }
    loose = {kind.__name__ for kind in found if not kind.__dataclass_params__.frozen}  # type: ignore[attr-defined]
    assert loose == {"HostState"} and len(found) > 10


def test_every_folder_is_a_role_and_every_role_has_a_stage() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/role.yaml")}
    assert folders == set(ROLES) == {name for names in stages().values() for name in names}
    assert [role.name for stage in stages() for role in of_stage(stage)] == [
        n for names in stages().values() for n in names
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_every_group_has_a_role_of_its_own(stack: str) -> None:
    """Beside base and pki, which are everywhere; backup and monitor come with later work."""
    served = {group.value for name in ROLES.keys() - {"base", "pki"} for group in entry(name).groups}
    assert {group.value for host in manifest_of(stack).hosts for group in host.groups} - served <= {"backup", "monitor"}


def test_clients_networks_reach_the_pooler() -> None:
    """PLAT-41: only declared networks are admitted."""
    manifest = manifest_of("dev")
    closed = manifest.model_copy(update={"network": manifest.network.model_copy(update={"clients": ()})})
    role = ROLES["pgbouncer"]
    access = [
        next(f.content for f in role.files(target(role, "edge1", m)) if Path(f.path).name == "pg_hba.conf")
        for m in (manifest, closed)
    ]
    assert "10.88.0.1/32" in access[0]
    assert "10.88.0.1/32" not in access[1]
    assert "10.88.0.21/32" in access[1]


def test_what_brings_an_extension_comes_to_every_host_that_reads_the_data() -> None:
    """PLAT-06: servers, and the host where a drill restores; no other, and no image waits for it."""
    manifest = manifest_of("dev")
    ruleiq = manifest.products["ruleiq"]
    product = ruleiq.product.model_copy(update={"packages": ("postgresql-{postgres}-pgvector",)})
    wanted = manifest.model_copy(
        update={"products": {**manifest.products, "ruleiq": ruleiq.model_copy(update={"product": product})}}
    )
    brought = {
        host
        for role, host in placements(wanted)
        if f"postgresql-{manifest.release.postgres}-pgvector" in role.packages(target(role, host, wanted))
    }
    assert brought == {"db1", "db2", "ops1"}
