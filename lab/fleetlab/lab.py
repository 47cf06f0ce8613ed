"""A lab: N machines, a bridge, etcd and a container registry, kept track of in a state folder."""

import fcntl
import hashlib
import ipaddress
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from . import images, root
from .etcd import Etcd
from .host import (Cgroup, LabError, ip, link_exists, opener, remove_tree, run, spawn, tail, unmount_below, wait_for)
from .machine import REPO, Machine

STATE = Path("/var/lib/fleet-lab")
NUMBERS = range(14)  # Lab n has 172.(18+n).0.0/16, inside the private 172.16.0.0/12.


def default_name():
    """One lab for each checkout, so that two checkouts do not take each other's away."""
    return os.environ.get("FLEET_LAB") or "lab-" + hashlib.sha256(str(REPO).encode()).hexdigest()[:6]


@contextmanager
def _locked():
    """One lab tool at a time chooses numbers or removes leftovers."""
    STATE.mkdir(parents=True, exist_ok=True)
    with open(STATE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Lab:
    def __init__(self, name=None, say=lambda text: None):
        self.name = name or default_name()
        if not self.name.replace("-", "").replace("_", "").isalnum() or len(self.name) > 40:
            raise LabError(f"{self.name!r} cannot name a lab: use letters, digits and dashes")
        self.say = say
        self.folder = STATE / self.name
        self.cgroup = Cgroup(f"fleet-lab-{self.name}")
        self.state = None
        self._load()

    # --- state ------------------------------------------------------------------------------------------------

    def _load(self):
        file = self.folder / "lab.json"
        self.state = json.loads(file.read_text()) if file.exists() else None

    def _save(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / "lab.json.new"
        aside.write_text(json.dumps(self.state, indent=2))
        aside.rename(self.folder / "lab.json")

    def exists(self):
        return self.state is not None

    def _need(self):
        if not self.exists():
            raise LabError(f"there is no lab {self.name}; start one: lab up")
        return self.state

    @property
    def number(self):
        return self._need()["number"]

    @property
    def prefix(self):
        return f"flab{self.number}"

    @property
    def bridge(self):
        return self.prefix

    @property
    def network(self):
        return f"172.{18 + self.number}"

    @property
    def gateway(self):
        return f"{self.network}.0.1"

    @property
    def etcd_url(self):
        return self.etcd.url

    @property
    def registry_address(self):
        return f"{self.gateway}:5000"

    @property
    def ssh_key(self):
        """The file with the private key that opens every machine, as root and as core."""
        return self.folder / "ssh_key"

    @property
    def environment(self):
        """What units and shells in the machines find: the guide's etcdctl commands are those of etcd's version 2."""
        return {"ETCDCTL_API": "2", "ETCDCTL_ENDPOINTS": self.etcd_url}

    def machine(self, number):
        if str(number) not in self._need()["machines"]:
            raise LabError(f"lab {self.name} has no machine {number}; it has {', '.join(self.state['machines'])}")
        return Machine(self, int(number))

    def machines(self):
        return [Machine(self, int(number)) for number in self._need()["machines"]]

    # --- life -------------------------------------------------------------------------------------------------

    def up(self, machines=3, metadata=None, ttl=5, bin_dir=None, owner=None, members=1, secure=False, registry=True):
        """Makes the lab and boots its machines. metadata: {machine number: {key: value}}. owner: a process with which
        the lab ends; when it is gone, the next lab tool that runs takes the lab down. members: of etcd; secure: with
        TLS, client certificates and users. registry: whether there is one for containers."""
        if os.geteuid() != 0:
            raise LabError("a lab needs root: it makes network devices, mounts and machines")
        if not 1 <= machines <= 250:
            raise LabError(f"a lab has 1 to 250 machines, not {machines}")
        metadata = metadata or {}
        unknown = [k for k in metadata if not 1 <= int(k) <= machines]
        if unknown:
            raise LabError(f"metadata for machine {unknown[0]}, but there are only {machines} machines")
        bin_dir = Path(bin_dir or os.environ.get("FLEET_BIN") or REPO / "build/release/bin").resolve()
        debian = root.ensure(self.say)
        if self.exists():
            self.say(f"removing what is there of lab {self.name}")
            self.down()
        remove_orphans(self.say)
        with _locked():
            self.state = {"number": _free_number(), "owner": _process(owner) if owner else None, "debian": str(debian),
                          "bin": str(bin_dir), "ttl": ttl, "etcd": {"members": members, "secure": secure},
                          "machines": {str(k): metadata.get(k, {}) for k in range(1, machines + 1)}}
            self._save()
        if not (bin_dir / "fleetd").exists():
            self.say(f"no fleetd in {bin_dir}: the machines come up without fleet")
        self.say(f"lab {self.name}: bridge {self.bridge}, etcd {self.etcd_url}"
                 + (f", registry {self.registry_address}" if registry else ""))
        # With an address of its own a bridge keeps it; else it would take one of its ports' and change it when that
        # machine goes, and the others would talk to nobody until they notice.
        ip("link", "add", self.bridge, "address", f"02:f1:ee:70:00:{self.number:02x}", "type", "bridge")
        ip("address", "add", f"{self.gateway}/16", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        self.etcd.start()
        if registry:
            self.registry_start()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {self.name}", "-f", self.ssh_key)
        for m in self.machines():
            m.install(debian, bin_dir)
            m.power_on()
            self.say(f"{m.name} boots at {m.address}")
        with ThreadPoolExecutor(machines) as pool:
            list(pool.map(lambda m: m.wait_booted(), self.machines()))
        self.say(f"{machines} machine{'s' if machines > 1 else ''} booted")

    def down(self):
        """Removes all that is or was of this lab; also after a crash at any point, and when there is nothing."""
        self.cgroup.kill()
        self.cgroup.remove()
        unmount_below(self.folder)
        if self.exists():
            # By name, not by the list of machines: a crash may have come between making a thing and noting it.
            for namespace in Path("/run/netns").glob(f"{self.prefix}-m*"):
                ip("netns", "delete", namespace.name)
            for link in Path("/sys/class/net").glob(f"{self.prefix}m*"):
                ip("link", "delete", link.name, check=False)
            if link_exists(self.bridge):
                ip("link", "delete", self.bridge)
            for left in Path("/run/systemd/nspawn").glob(f"*/{self.prefix}-m*"):
                remove_tree(left)
            wait_for(f"the network devices of lab {self.name} to be gone",
                     lambda: not list(Path("/sys/class/net").glob(f"{self.prefix}*")), 10)
        if self.folder.exists():
            remove_tree(self.folder)
        self.state = None

    # --- etcd and the registry ----------------------------------------------------------------------------------

    @property
    def etcd(self):
        return Etcd(self, **self._need()["etcd"])

    def program(self, path):
        """A program of the machines' root folder, for the host to run."""
        return Path(self._need()["debian"]) / path

    def registry_start(self):
        group, log, config = self.cgroup.child("registry"), self.folder / "registry.log", self.folder / "registry.yml"
        config.write_text("version: 0.1\nlog: {level: warn}\n"
                          f"storage: {{filesystem: {{rootdirectory: {self.folder / 'registry'}}}}}\n"
                          f"http: {{addr: '{self.registry_address}'}}\n")
        spawn([self.program("usr/bin/docker-registry"), "serve", config], group, log, {"OTEL_TRACES_EXPORTER": "none"})
        self.wait_answers("the container registry", f"http://{self.registry_address}/v2/", group, log)
        images.push_all(self.registry_address, self.program("bin/busybox"))

    def wait_answers(self, what, url, group, log):
        def answers():
            if not group.populated():
                raise LabError(f"{what} ended at once; its log ends:\n{tail(log)}")
            return http_get(url) is not None
        wait_for(f"{what} to answer at {url}", answers, 30, lambda: f"its log ends:\n{tail(log)}")


def http_get(url, timeout=2):
    """The body of a 200 answer, or None."""
    try:
        with opener.open(url, timeout=timeout) as answer:
            return answer.read()
    except OSError:  # URLError and time-outs are OSErrors.
        return None


# --- many labs --------------------------------------------------------------------------------------------------

def all_labs(say=lambda text: None):
    STATE.mkdir(parents=True, exist_ok=True)
    return [Lab(folder.name, say) for folder in sorted(STATE.iterdir()) if folder.is_dir()]


def remove_orphans(say):
    """Takes down labs whose owner, a test run say, ended without doing so."""
    with _locked():
        for lab in all_labs(say):
            owner = lab.state and lab.state["owner"]
            if owner and _process(owner["pid"]) != owner:
                say(f"removing lab {lab.name}: process {owner['pid']}, which it belonged to, is gone")
                lab.down()


def _process(pid):
    """A process by id and start time, since ids are used again."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return {"pid": pid, "started": after_name[19]}


def _free_number():
    taken = {lab.state["number"] for lab in all_labs() if lab.state}
    routes = [ipaddress.ip_network(line.split()[0]) for line in ip("-4", "route", "show").stdout.splitlines()
              if line and line[0].isdigit()]
    for number in NUMBERS:
        network = ipaddress.ip_network(f"172.{18 + number}.0.0/16")
        if number in taken or link_exists(f"flab{number}") or any(network.overlaps(route) for route in routes):
            continue
        return number
    raise LabError(f"all {len(NUMBERS)} lab networks from 172.18.0.0/16 on are in use; "
                   "'lab status --all' shows the labs, 'lab down --all' removes them")
