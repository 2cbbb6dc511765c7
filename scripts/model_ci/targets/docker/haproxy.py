"""HAProxy's language: the configuration of the balancer, and what is said to it while it runs.

Who gets which variant is decided by a number from 0 to 99: of a user by a hash of who it is, so that the same user gets
the same variant and, when the challenger's weight rises, nobody goes back; of all others by counting, so that of a
hundred requests each variant gets exactly its share. Below the challenger's weight it is the challenger's.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from model_ci.config import Docker
from model_ci.frozen import dataclass
from model_ci.targets.deployment import CHALLENGER, CHAMPION

SLOTS: Final = 100
FILE: Final = "/model-ci/haproxy.cfg"
WEIGHTS: Final = "/model-ci/weights.map"
ADMIN_PORT: Final = 9999
NOBODY: Final = "balancer"  # a name that the engine knows: one that it does not know it would ask others for
_NOWHERE: Final = "192.0.2.1"  # reserved for documentation: nobody is there
_MAINTENANCE: Final = 0x01
_DRAINING: Final = 0x08
_UP: Final = 2
_CHECK_PASSED: Final = 3

_TEMPLATE: Final = """\
global
  log stdout format raw local0 warning
  stats socket ipv4@127.0.0.1:{admin} level admin
  hard-stop-after {drain}s
  maxconn 4096

defaults
  mode http
  log global
  option dontlognull
  option redispatch
  option idle-close-on-response
  retries 3
  # A prediction changes nothing, so one that got no answer is asked again of another replica.
  retry-on conn-failure empty-response 503
  timeout connect 2s
  timeout client 75s
  timeout http-keep-alive 75s
  timeout server 75s
  timeout check 2s
  default-server check inter 500ms fall 2 rise 1 observe layer4 error-limit 2 on-error mark-down resolvers engine init-addr libc,none

resolvers engine
  nameserver engine 127.0.0.11:53
  resolve_retries 3
  timeout resolve 1s
  timeout retry 1s
  hold valid 1s
  hold nx 3s

backend counter
  stick-table type integer size 1 store gpc0

frontend service
  bind :{port}
  http-request set-var(txn.weight) str({challenger}),map_str_int({weights},0)
{sticky}
  http-request track-sc0 int(1) table counter unless {{ var(txn.bucket) -m found }}
  http-request set-var(txn.bucket) sc0_inc_gpc0,mul(37),mod(100) unless {{ var(txn.bucket) -m found }}
  acl challenged var(txn.bucket),sub(txn.weight) -m int lt 0
  use_backend {challenger} if challenged {{ nbsrv({challenger}) gt 0 }}
  use_backend {challenger} if !{{ nbsrv({champion}) gt 0 }}
  default_backend {champion}

frontend metrics
  bind :8405
  http-request use-service prometheus-exporter if {{ path /metrics }}
  http-request deny
"""
_BY_HEADER: Final = (
    "  http-request set-var(txn.bucket) req.hdr({name}),xxh32(1),mod(100) if {{ req.hdr({name}) -m found }}"
)
# The cookie holds the number and not the variant, so that weights count for those who come again too.
_BY_COOKIE: Final = """\
  http-request set-var(txn.bucket) req.cook({name}),mod(100) if {{ req.cook({name}) -m reg ^[0-9]{{1,2}}$ }}
  http-request set-var(txn.fresh) bool(true) unless {{ var(txn.bucket) -m found }}
  http-response add-header Set-Cookie "{name}=%[var(txn.bucket)]; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000" if {{ var(txn.fresh) -m bool }}"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A place in a backend: which replica is in it, whether it gets requests, and whether it answers."""

    backend: str
    slot: str
    alias: str  # empty: nobody
    address: str
    ready: bool
    up: bool  # a check found it so
    down: bool

    @property
    def path(self) -> str:
        """Its name in HAProxy's language."""
        return f"{self.backend}/{self.slot}"


def frame(settings: Docker) -> str:
    """Return the part of the configuration that the replicas do not change."""
    sticky = {"header": _BY_HEADER, "cookie": _BY_COOKIE, "none": ""}[settings.sticky]
    return _TEMPLATE.format(
        admin=ADMIN_PORT, port=8080, weights=WEIGHTS, champion=CHAMPION, challenger=CHALLENGER,
        drain=max(1, round(settings.drain_s)), sticky=sticky.format(name=settings.sticky_name),
    )  # fmt: skip


def configuration(settings: Docker, servers: Iterable[Server]) -> str:
    """Return the whole configuration, with the replicas that get requests: what a restart begins with."""
    used = {server.path: server.alias for server in servers if server.alias and server.ready}
    backends = [_backend(name, used) for name in (CHAMPION, CHALLENGER)]
    return "\n".join([frame(settings), *backends])


def _backend(name: str, used: Mapping[str, str]) -> str:
    lines = [f"backend {name}", "  balance leastconn", "  option httpchk GET /readyz"]
    for number in range(1, SLOTS + 1):
        alias = used.get(f"{name}/s{number}")
        lines.append(f"  server s{number} {alias}:8080" if alias else f"  server s{number} {_NOWHERE}:8080 disabled")
    return "\n".join(lines) + "\n"


def weights(challenger: int) -> str:
    """Return the file of the weights."""
    return f"{CHALLENGER} {challenger}\n"


def read_servers(printed: str) -> list[Server]:
    """Read what `show servers state` prints."""
    lines = [line.split() for line in printed.splitlines()]
    names = next((line[1:] for line in lines if line[:1] == ["#"]), [])
    servers = []
    for line in lines:
        if len(line) != len(names) or line[0] == "#":
            continue
        row = dict(zip(names, line, strict=True))
        administrative = int(row["srv_admin_state"])
        taken = row["srv_fqdn"] not in ("-", NOBODY)
        servers.append(
            Server(
                backend=row["be_name"],
                slot=row["srv_name"],
                alias=row["srv_fqdn"] if taken else "",
                address=row["srv_addr"],
                ready=taken and not administrative & (_MAINTENANCE | _DRAINING),
                down=row["srv_op_state"] == "0",
                up=int(row["srv_op_state"]) == _UP and int(row["srv_check_result"]) == _CHECK_PASSED,
            )
        )
    return servers


def read_weight(printed: str) -> int:
    """Read the challenger's weight from what `get map` or `show map` prints."""
    rows = (line.split() for line in printed.splitlines())
    return next((int(row[2]) for row in rows if len(row) == 3 and row[1] == CHALLENGER), 0)


def read_sessions(printed: str) -> dict[str, int]:
    """Read from `show stat` how many requests each server is busy with."""
    lines = printed.splitlines()
    names = lines[0].removeprefix("# ").split(",")
    rows = (dict(zip(names, line.split(","), strict=False)) for line in lines[1:] if line)
    return {f"{row['pxname']}/{row['svname']}": int(row["scur"] or 0) for row in rows}
