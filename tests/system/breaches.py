"""How the walls of an environment are taken down, so that an attempt at each is shown to succeed."""

from __future__ import annotations

from typing import NamedTuple

from environment.names import LOOK, LOOKUP
from environment.types import Group
from keel_host.accounts import RECEIVER
from roles import paths
from roles.firewall.role import RULES


class Breach(NamedTuple):
    """How a wall is taken down on a host of a group, and built again."""

    group: Group
    down: str
    again: str


HBA = "$(psql -U postgres -XAtc 'show hba_file')"
RELOAD = "psql -U postgres -XAtqc 'select pg_reload_conf()'"


LOGS = "$(psql -U postgres -XAtc 'show log_directory')"
UNWALLED = Breach(
    Group.EDGE,
    # Root without this capability cannot read the service's own key.
    "printf '[Service]\\nUser=root\\nGroup=root\\nCapabilityBoundingSet=CAP_DAC_OVERRIDE\\nTemporaryFileSystem=\\nBindReadOnlyPaths=\\n' "
    "> /etc/systemd/system/haproxy.service.d/zz.conf; systemctl daemon-reload; systemctl restart haproxy",
    "rm /etc/systemd/system/haproxy.service.d/zz.conf; systemctl daemon-reload; systemctl restart haproxy",
)


def _sql(statement: str, database: str = "postgres") -> str:
    return f'PGOPTIONS="-c search_path=public" psql -U postgres -XAtqd {database} -v ON_ERROR_STOP=1 -c "{statement}"'


def _admitted_first(line: str) -> Breach:
    """A line before all others of PostgreSQL's list."""
    down = f"cp -p {HBA} /run/hba && sed -i '1i {line}' {HBA} && {RELOAD}"
    return Breach(Group.POSTGRES, down, f"cat /run/hba > {HBA} && rm /run/hba && {RELOAD}")


BOUND_IN, BOUND = "ai_assistant", "ai_assistant_app"
"""The first product, and its application."""
LIMITS = (
    f"select format('alter role %I connection limit %s;', rolname, rolconnlimit) from pg_roles where rolname = '{BOUND}' union all "
    f"select format('alter database %I connection limit %s;', datname, datconnlimit) from pg_database where datname = '{BOUND_IN}' union all "
    f"select format('alter role {BOUND} set %s = %L;', split_part(each, '=', 1), split_part(each, '=', 2)) "
    f"from pg_roles, unnest(rolconfig) each where rolname = '{BOUND}' and each like 'temp_file_limit=%'"
)


def _setting(name: str, value: str) -> Breach:
    """A parameter of the server that wins over Patroni's."""
    return Breach(
        Group.POSTGRES,
        _sql(f"alter system set {name} = '{value}'") + f" && {RELOAD}",
        _sql(f"alter system reset {name}") + f" && {RELOAD}",
    )


ARCHIVES = f"{paths.REPOSITORY}/generation-*/archive/*"
POOLER = "/etc/pgbouncer/pg_hba.conf"
LOOKS_EVERYONE_UP = Breach(
    Group.POSTGRES,
    f"psql -U postgres -XAtc \"select pg_get_functiondef('{LOOKUP}(text)'::regprocedure)\" > /run/lookup.sql && "
    + _sql(
        f"create or replace function {LOOKUP}(wanted text, out username text, out password text) returns setof record"
        " language sql stable security definer set search_path = pg_catalog, pg_temp"
        " as 'select rolname::text, rolpassword::text from pg_authid where rolname = wanted'"
    ),
    "psql -U postgres -XAtq -v ON_ERROR_STOP=1 -f /run/lookup.sql",
)


def _both(one: Breach, other: Breach) -> Breach:
    """Two walls, one behind the other, on one host."""
    return Breach(one.group, f"{one.down} && {other.down}", f"{other.again} && {one.again}")


PATRONI = "/etc/patroni/config.yml"
UNASKED = "curl -k -s -o /dev/null https://$(hostname -I | cut -d' ' -f1):8008/patroni"
OPEN_PATRONI = Breach(
    Group.POSTGRES,
    f"cp -p {PATRONI} /run/patroni.yml; sed -i 's/verify_client: required/verify_client: optional/; /^  authentication:/,/^    password:/d' {PATRONI}; "
    f"systemctl reload patroni; for i in $(seq 100); do {UNASKED} && exit; sleep 0.1; done; exit 1",
    f"cat /run/patroni.yml > {PATRONI}; rm /run/patroni.yml; "
    f"systemctl reload patroni; for i in $(seq 100); do {UNASKED} || exit 0; sleep 0.1; done; exit 1",
)
KEY_FOR_ALL = Breach(
    Group.ETCD,
    f"chmod o+r {paths.TLS}/etcd/key.pem; chmod o+x {paths.TLS}/etcd",
    f"chmod o-r {paths.TLS}/etcd/key.pem; chmod o-x {paths.TLS}/etcd",
)
UP_TO_A_BACKUP = (
    f"at=$(find {paths.REPOSITORY} -name backup.info | head -1); "
    f'while :; do stat -c "chmod %a %n" "$at"; [ "$at" != {paths.REPOSITORY} ] || break; at=$(dirname "$at"); done'
)
"""The modes of a backup's description and of the folders above it."""
FINGERPRINT = f"{paths.LIBRARY}/keel_host/fingerprint.py"
SSHD = "/etc/ssh/sshd_config.d/00-breach.conf"


BREACHES = {
    "looks_with_power": Breach(
        Group.POSTGRES, _sql(f"alter role {LOOK} superuser"), _sql(f"alter role {LOOK} nosuperuser")
    ),
    "planted_objects": Breach(
        Group.BACKUP,
        f"sed -i 's/search_path=pg_catalog/search_path=public,pg_catalog/' {FINGERPRINT}",
        f"sed -i 's/search_path=public,pg_catalog/search_path=pg_catalog/' {FINGERPRINT}",
    ),
    **dict.fromkeys(("keys_at_doors", "reads_foreign_keys"), KEY_FOR_ALL),
    **dict.fromkeys(("no_key_at_doors", "orders_to_patroni"), OPEN_PATRONI),
    "reads_backups": Breach(
        Group.BACKUP,
        f"{UP_TO_A_BACKUP} > /run/modes; cut -d' ' -f3 /run/modes | xargs chmod o+rx",
        "sh /run/modes; rm /run/modes",
    ),
    "weak_ciphers": _setting("ssl_ciphers", "ALL:@SECLEVEL=0"),
    "weak_ssh": Breach(Group.POSTGRES, f"echo 'AllowAgentForwarding yes' > {SSHD}", f"rm {SSHD}"),
    "sees_strange_databases": Breach(
        Group.POSTGRES,
        _sql("grant connect on database postgres to public"),
        _sql("revoke connect on database postgres from public"),
    ),
    "another_clients_identity": Breach(
        Group.EDGE,
        "sed -i 's/^server_reset_query_always = 1/server_reset_query_always = 0/' /etc/pgbouncer/pgbouncer.ini; systemctl reload pgbouncer",
        "sed -i 's/^server_reset_query_always = 0/server_reset_query_always = 1/' /etc/pgbouncer/pgbouncer.ini; systemctl reload pgbouncer",
    ),
    "another_products_database": _both(
        _admitted_first("host all all all scram-sha-256"),
        Breach(
            Group.POSTGRES,
            _sql("grant connect on database jeex_idea to ruleiq_readonly"),
            _sql("revoke connect on database jeex_idea from ruleiq_readonly"),
        ),
    ),
    "powers_of_applications": Breach(
        Group.POSTGRES, _sql("grant jeex_idea_owner to jeex_user"), _sql("revoke jeex_idea_owner from jeex_user")
    ),
    "migrators_through_the_pooler": _both(
        LOOKS_EVERYONE_UP,
        Breach(
            Group.EDGE,
            f"cp -p {POOLER} /run/pooler; sed -i '1i hostssl all all all scram-sha-256' {POOLER}; systemctl reload pgbouncer",
            f"cat /run/pooler > {POOLER}; rm /run/pooler; systemctl reload pgbouncer",
        ),
    ),
    "clear_connections": _admitted_first("host jeex_idea jeex_user all scram-sha-256"),
    "services_through_the_edge": _admitted_first("host all all all scram-sha-256"),
    "undeclared_from_here": Breach(Group.EDGE, "nft flush ruleset", f"nft -f {RULES}"),
    "undeclared_pairs": Breach(Group.EDGE, "nft flush ruleset", f"nft -f {RULES}"),
    "verifiers_of_strong_logins": LOOKS_EVERYONE_UP,
    "uses_the_servers_socket": _admitted_first("local all all trust"),
    "destroys_backups": Breach(
        Group.BACKUP,
        # A look that is under way would give back to postgres what it finds.
        f"systemctl stop keel-seal-archive.timer keel-seal-archive.service; chown -R {RECEIVER} {ARCHIVES}",
        f"rm -f /run/keel-seal/done; {paths.SEAL_ARCHIVE} && systemctl start keel-seal-archive.timer",
    ),
    **dict.fromkeys(("is_root", "sees_foreign_keys", "sees_the_hosts_files"), UNWALLED),
    "reads_the_server_log": Breach(
        Group.POSTGRES,
        f"stat -c %a {LOGS} > /run/mode; chmod 755 {LOGS}; touch {LOGS}/z.log; echo x > {LOGS}/z.log; chmod 644 {LOGS}/z.log",
        f"rm {LOGS}/z.log; chmod $(cat /run/mode) {LOGS}",
    ),
    "finds_verifiers_in_the_server_log": Breach(
        Group.POSTGRES, f"echo 'SCRAM-SHA-256$4096:' > {LOGS}/z.log", f"rm {LOGS}/z.log"
    ),
    **dict.fromkeys(
        ("takes_all_connections", "lifts_its_limits"),
        Breach(
            Group.POSTGRES,
            f'psql -U postgres -XAtc "{LIMITS}" > /run/limits && '
            + _sql(f"alter role {BOUND} connection limit -1")
            + " && "
            + _sql(f"alter role {BOUND} set temp_file_limit = -1")
            + " && "
            + _sql(f"alter database {BOUND_IN} connection limit -1"),
            "psql -U postgres -XAtq -v ON_ERROR_STOP=1 -f /run/limits",
        ),
    ),
    **dict.fromkeys(
        ("holds_a_transaction", "keeps_another_password"),
        Breach(Group.POSTGRES, "systemctl stop keel-end-sessions.timer", "systemctl start keel-end-sessions.timer"),
    ),
    "leaves_its_container": Breach(
        Group.POSTGRES, "mount -o remount,bind,rw /proc/sys", "mount -o remount,bind,ro /proc/sys"
    ),
    "guesses_passwords": Breach(Group.EDGE, "systemctl stop keel-watch-logins", "systemctl start keel-watch-logins"),
    **dict.fromkeys(
        ("another_products_keys", "commands_redis"),
        Breach(
            Group.REDIS,
            "cp -p /etc/redis/users.acl /run/acl; sed -i 's/^user jeex_idea .*\\(#[0-9a-f]*\\).*/user jeex_idea on \\1 ~* \\&* +@all/' /etc/redis/users.acl; systemctl restart redis-server",
            "cat /run/acl > /etc/redis/users.acl; rm /run/acl; systemctl restart redis-server",
        ),
    ),
}
"""Attempt → how the wall that it tries is taken down."""
