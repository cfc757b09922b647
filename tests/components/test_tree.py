"""What the program registers: which resources, in which order, with which properties."""

from __future__ import annotations

import json

import pulumi
import pytest

from environment.derive import PUBLISHED_ROOTS, Roots, private_openssh
from environment.load import ROOT
from environment.manifest import Manifest
from environment.products import catalogue
from tests.components.conftest import program_of
from tests.components.recorder import Program, Registered, run
from tests.unit.stacks import ROOTS, config

HOSTS = ["db1", "db2", "edge1", "ops1"]


def test_the_program_is_a_table_of_contents() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 60


def test_the_tree_reads_as_the_environment_is(dev: Program) -> None:
    tree = [(r.kind, r.name, r.parent) for r in dev.resources]
    assert {kind for kind, _, parent in tree if parent == "keel-dev"} == {"Hosts", "Platform"}
    assert [name for kind, name, _ in tree if kind == "Host"] == HOSTS
    assert [name for kind, name, _ in tree if kind == "Converge"] == ["base", "store", "data", "edge", "backup"]
    for host in HOSTS:
        kinds = sorted(kind for kind, _, parent in tree if parent == host and kind != "Volume")
        assert kinds == ["Container", "Drain", "Ready"]


def test_hosts_form_a_chain_of_drain_container_and_gate(dev: Program) -> None:
    """Design, principle 8: Pulumi by itself would replace all containers at once."""
    for position, host in enumerate(HOSTS):
        drain, container, ready = (
            dev.one(kind, name) for kind, name in (("Drain", f"{host}-drain"), ("Container", host), ("Ready", f"{host}-ready"))
        )  # fmt: skip
        assert drain.name in container.dependencies
        assert container.name in ready.dependencies
        before = [f"{HOSTS[position - 1]}-ready"] if position else []
        assert [name for name in drain.dependencies if name.endswith("-ready")] == before


def test_the_platform_comes_in_order(dev: Program) -> None:
    """PLAT-28: hosts, roles, databases, migrations, verification."""
    assert {f"{host}-ready" for host in HOSTS} <= dev.one("Converge", "base").dependencies
    assert "base" in dev.one("Converge", "store").dependencies
    assert "store" in dev.one("Recovery", "recovery").dependencies
    assert "recovery" in dev.one("Converge", "data").dependencies
    assert "data" in dev.one("Converge", "edge").dependencies
    assert "edge" in dev.one("Converge", "backup").dependencies
    assert "data" in dev.one("Databases", "databases").dependencies
    assert "databases" in dev.one("Migration", "jeex_idea").dependencies
    assert {"base", "store", "data", "edge", "backup", "jeex_idea"} <= dev.one(
        "Verification", "verification"
    ).dependencies
    assert not any("verification" in resource.dependencies for resource in dev.resources)


def test_every_stage_runs_again_in_a_new_container(dev: Program) -> None:
    """What is inside a container is lost with it, so stages watch the containers' ids."""
    for stage in dev.of("Converge", "Verification"):
        assert stage.inputs["identities"] == {host: f"{host}-id" for host in HOSTS}
        assert set(HOSTS) <= stage.dependencies


def test_other_keys_of_the_second_repository_run_its_stage_again() -> None:
    """They are no inputs themselves: a mark of them is, and of that stage alone."""

    def stages(secret: str) -> dict[str, Registered]:
        written = config("dev", {"repository.second": {"endpoint": "s3.example.com", "bucket": "backups"}})
        keys = {"keel:s3_key": "the access key", "keel:s3_secret": secret}
        program = run("dev", {**{key: json.dumps(value) for key, value in written.items()}, **ROOTS, **keys})
        return {stage.name: stage for stage in program.of("Converge")}

    one, other = stages("a secret key"), stages("another secret key")
    assert [name for name in one if one[name].inputs != other[name].inputs] == ["store"]
    assert not any("secret key" in json.dumps(stage.inputs) for stage in (*one.values(), *other.values()))


def test_the_network_is_the_settings(dev: Program) -> None:
    network = dev.one("Network", "network").inputs
    addresses = {"subnet": "10.88.0.0/24", "gateway": "10.88.0.1", "ipRange": "10.88.0.128/25"}
    assert (network["driver"], network["ipamConfigs"]) == ("bridge", [addresses])


def test_a_network_is_not_replaced_for_its_range(dev: Program, kept: Program) -> None:
    """PLAT-48: what Docker takes addresses from is decided when the network is made; other subnets are another network."""
    assert list(dev.one("Network", "network").request.ignoreChanges) == [
        "ipamConfigs[0].ipRange",
        "ipamConfigs[0].gateway",
    ]
    assert kept.one("Network", "network").inputs["ipamConfigs"] == [{"subnet": "10.77.0.0/24"}]


def test_a_gate_gives_hosts_the_names_that_containers_use(dev: Program, ci: Program) -> None:
    """BAC-02: those whose ports are for clients."""
    found = {gate.name: gate.inputs.get("aliases") for gate in (*dev.of("Ready"), *ci.of("Ready"))}
    named = {"edge1-ready": ["edge.keel-dev", "redis.keel-dev"], "all1-ready": ["edge.keel-ci", "redis.keel-ci"]}
    assert found == dict.fromkeys(("db1-ready", "db2-ready", "ops1-ready")) | named


def test_containers_pin_the_image_by_its_id(dev: Program) -> None:
    assert {container.inputs["image"] for container in dev.of("Container")} == {"sha256:image"}


@pytest.mark.parametrize(("name", "kept"), [("dev", False), ("ci", False), ("kept", True)])
def test_volumes_outlive_a_destroy_where_data_is_guarded(name: str, kept: bool) -> None:
    """Design, principle 9: volumes are kept on delete outside dev and ci."""
    volumes = program_of(name).of("Volume")
    assert volumes
    assert {volume.request.retainOnDelete for volume in volumes} == {kept}


def test_data_lies_on_volumes(dev: Program) -> None:
    mounts = {
        host: {m["target"]: m["source"] for m in dev.one("Container", host).inputs["mounts"] if m["type"] == "volume"}
        for host in HOSTS
    }
    assert mounts == {
        "db1": {"/var/lib/etcd": "keel-dev-db1-etcd", "/var/lib/postgresql": "keel-dev-db1-postgresql"},
        "db2": {"/var/lib/etcd": "keel-dev-db2-etcd", "/var/lib/postgresql": "keel-dev-db2-postgresql"},
        "edge1": {"/var/lib/etcd": "keel-dev-edge1-etcd", "/var/lib/redis": "keel-dev-edge1-redis"},
        "ops1": {"/var/lib/pgbackrest": "keel-dev-ops1-pgbackrest"},
    }


def test_nothing_of_the_machine_is_mounted_and_cgroups_are_the_containers_own(dev: Program) -> None:
    """W11."""
    for container in dev.of("Container"):
        assert {mount["type"] for mount in container.inputs["mounts"]} == {"volume"}
        assert container.inputs["cgroupnsMode"] == "private"


def published(program: Program) -> dict[str, dict[int, int]]:
    """Host → port inside → port on the machine."""
    return {
        container.name: {int(p["internal"]): int(p["external"]) for p in container.inputs.get("ports", [])}
        for container in program.of("Container")
    }


def test_ports_are_published_on_this_machine_only(dev: Program, ci: Program, kept: Program) -> None:
    """PLAT-41: nothing but 127.0.0.1 is bound."""
    for program in (dev, ci, kept):
        for container in program.of("Container"):
            assert container.inputs["ports"]
            assert {port["ip"] for port in container.inputs["ports"]} == {"127.0.0.1"}


def test_the_ports_of_the_seeds_are_published(dev: Program) -> None:
    """JEEX-03: PostgreSQL on 5220, PgBouncer on 6432; sshd of each host beside them."""
    assert published(dev) == {
        "db1": {22: 2201}, "db2": {22: 2202}, "edge1": {22: 2211, 5000: 5220, 6432: 6432, 6379: 6379}, "ops1": {22: 2221}
    }  # fmt: skip


def test_two_edges_publish_once(kept: Program) -> None:
    ports = [port for host in published(kept).values() for port in host.values()]
    assert len(ports) == len(set(ports))


def test_limits_are_the_settings(dev: Program) -> None:
    """BAC-03, JEEX-04: CPU and memory limits, restart policy."""
    db1, edge1 = (dev.one("Container", name).inputs for name in ("db1", "edge1"))
    assert (db1["memory"], edge1["memory"]) == (2048, 1024)
    assert db1["memorySwap"] == db1["memory"]
    assert db1["cpuQuota"] / db1["cpuPeriod"] == 2.0
    assert db1["restart"] == "unless-stopped"


@pytest.mark.parametrize(("limit", "drained"), [("memory", False), ("cpus", True)])
def test_only_who_is_replaced_is_drained(dev: Program, limit: str, drained: bool) -> None:
    """PLAT-48: Docker changes the memory of a container that runs, so the primary stays where it is."""
    patched = config("dev", {f"hosts.db1.{limit}": 4096 if limit == "memory" else 3.5})
    other = run("dev", {**{key: json.dumps(value) for key, value in patched.items()}, **ROOTS})
    container, drain = (
        (dev.one(*name).inputs, other.one(*name).inputs) for name in (("Container", "db1"), ("Drain", "db1-drain"))
    )
    assert container[0] != container[1]
    assert (drain[0]["specification"] != drain[1]["specification"]) == drained


def test_what_the_environment_makes_is_called_by_it(dev: Program) -> None:
    """BAC-02: containers keel-<environment>-<host> in a bridge network of their own, restarted unless stopped."""
    (network,) = dev.of("Network")
    assert (network.inputs["name"], network.inputs["driver"]) == ("keel-dev", "bridge")
    for container in dev.of("Container"):
        assert container.inputs["name"] == f"keel-dev-{container.name}"
        assert [attached["name"] for attached in container.inputs["networksAdvanced"]] == ["keel-dev"]
        assert container.inputs["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["dev", "ci", "kept"])
def test_a_host_that_is_replaced_may_stop_its_services_first(name: str) -> None:
    """What `make down` does to data that is thrown away never reaches a replacement: it stops systemd, and waits for it."""
    for container in program_of(name).of("Container"):
        stop = ("stopSignal", "stopTimeout", "destroyGraceSeconds")
        assert [container.inputs[key] for key in stop] == ["SIGRTMIN+3", 60, 60]


def test_containers_are_not_privileged(dev: Program) -> None:
    """W11."""
    for container in dev.of("Container"):
        assert "privileged" not in container.inputs
        wanted = {"adds": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"], "drops": ["CAP_MKNOD"]}
        assert container.inputs["capabilities"] == wanted


def test_everything_made_carries_the_stacks_label(dev: Program) -> None:
    """A killed run's leftovers are found by it."""
    for resource in dev.of("Network", "Volume", "Container"):
        assert {"label": "keel.environment", "value": "dev"} in resource.inputs["labels"]


def test_machines_that_exist_get_no_container(staging: Program) -> None:
    """Provider ssh: only the platform is made; a stage watches the machines' addresses."""
    assert staging.of("Container", "Volume", "Network", "HostImage", "Drain") == []
    identities = staging.one("Converge", "base").inputs["identities"]
    assert identities["db1"] == "db1.staging.example:22"
    assert len(staging.of("Converge", "Databases", "Migration", "Verification")) == 7 + len(catalogue())


def test_ci_is_one_container(ci: Program) -> None:
    assert [container.name for container in ci.of("Container")] == ["all1"]


@pytest.mark.parametrize("name", ["dev", "ci", "staging", "kept"])
def test_a_step_can_read_what_pulumi_hands_it(name: str) -> None:
    """Pulumi drops what is null on the way to a provider, and makes numbers floats."""
    for step in program_of(name).of("Drain", "Ready", "Converge", "Databases", "Migration", "Verification"):
        given = step.inputs["manifest"]
        read = Manifest.from_slice(given)
        assert read.identity.name == json.loads(json.dumps(given))["identity"]["name"]
        if "endpoints" in given:
            assert read.endpoints.address


def secrets_of(environment: str) -> dict[str, str]:
    """What must never be readable in a state."""
    roots = Roots(environment, *(ROOTS[f"keel:{name}"] for name in ("access", "pki", "backup")))
    names = ["postgres", "jeex_user", "jeex_idea_migrator", "jeex_idea_readonly", "keel_pgbouncer", "redis/jeex_idea"]
    # The fifth line of the file lies in the private part, behind OpenSSH's random check number.
    keys = {f"key of {name}": private_openssh(roots.ssh_key(name)).splitlines()[4] for name in ("controller", *HOSTS)}
    return {f"password of {name}": roots.password(name) for name in names} | keys | dict(ROOTS)


@pytest.mark.parametrize("name", ["dev", "ci", "staging", "kept"])
def test_no_secret_is_readable_in_the_state(name: str) -> None:
    """PLAT-11: passwords, keys and roots are encrypted wherever they stand."""
    program = program_of(name)
    environment = program.secret_outputs["environment"]
    texts = {resource.urn: json.dumps(resource.open_inputs) for resource in program.resources}
    texts["outputs"] = json.dumps(program.outputs)
    found = {
        (urn, what) for what, secret in secrets_of(environment).items() for urn, text in texts.items() if secret in text
    }
    assert found == set()


def test_the_hosts_keys_are_there_but_secret(dev: Program) -> None:
    """The counterpart of the test above: the same search finds them where secrets are shown."""
    container = dev.one("Container", "db1")
    assert secrets_of("dev")["key of db1"] in json.dumps(container.inputs["uploads"])
    assert "[secret]" in json.dumps(container.open_inputs["uploads"])


def test_a_bad_stack_is_refused_before_anything_is_registered() -> None:
    """Issue: refused in preview, nothing changed. One sentence, no traceback: RunError is Pulumi's way to say so."""
    written = {key: json.dumps(value) for key, value in config("dev", {"patroni.ttl": 1}).items()}
    with pytest.raises(pulumi.RunError, match=r"keel:patroni\.ttl = 1: Input should be greater than or equal to 20"):
        run("dev", written)


def test_production_without_roots_is_refused() -> None:
    """PLAT-11: through the program, as `pulumi preview` does it."""
    written = {key: json.dumps(value) for key, value in config("production").items()}
    with pytest.raises(pulumi.RunError, match="keel:access is not set") as refused:
        run("production", {**written, "keel:backup": PUBLISHED_ROOTS["backup"]})
    assert "keel:pki is not set" in str(refused.value)
    assert "keel:backup is the published root" in str(refused.value)
