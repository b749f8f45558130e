"""Detects active protections from inside the sandbox.

Nothing is inferred from the launcher's options: a probe runs as a candidate would, and its findings
are compared with what this process sees outside.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolcoder.sandbox.base import Layer

PROBE = """
import json, os, resource, socket
def refused(what, *arguments):
    try:
        what(*arguments)
    except PermissionError:
        return True
    return False
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "links": {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")},
    "status": {name: status[name].split()[0] for name in
               ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "Uid")},
    "data": resource.getrlimit(resource.RLIMIT_DATA)[1],
    "memory files": not refused(os.memfd_create, "probe"),
    "processes": resource.getrlimit(resource.RLIMIT_NPROC)[1],
    "sockets": not all(refused(socket.socket, family) for family in
               (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET)),
    "root": not refused(os.listdir, "/"),
}))
"""
_LINKS = {
    Layer.USER: "user",
    Layer.MOUNT: "mnt",
    Layer.PID: "pid",
    Layer.NETWORK: "net",
    Layer.IPC: "ipc",
    Layer.UTS: "uts",
}


def layers_of(found: bytes, *, grouped: bool) -> tuple[Layer, ...]:
    """Return the layers that the probe found; only the worker can see a control group."""
    seen: Mapping[str, Any] = json.loads(found)
    links, status = seen["links"], seen["status"]
    active = {
        layer: links[name] != str(Path("/proc/self/ns", name).readlink())
        for layer, name in _LINKS.items()
    }
    unprivileged = status["Uid"] != "0"
    active |= {
        Layer.NETWORK: active[Layer.NETWORK] or not seen["sockets"],
        # Nothing else prevents listing the root folder.
        Layer.LANDLOCK: not seen["root"],
        Layer.SECCOMP: status["Seccomp"] == "2",
        Layer.NO_NEW_PRIVILEGES: status["NoNewPrivs"] == "1",
        Layer.NO_CAPABILITIES: int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0,
        Layer.UNPRIVILEGED: unprivileged,
        Layer.CGROUP: grouped,
        # RLIMIT_DATA limits neither memory files nor the sum over several processes.
        Layer.MEMORY: seen["data"] > 0 and (grouped or not seen["memory files"]),
        # RLIMIT_NPROC does not limit the real root.
        Layer.PROCESSES: seen["processes"] > 0 and unprivileged,
    }
    return tuple(layer for layer in Layer if active.get(layer))
