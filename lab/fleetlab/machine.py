"""One machine of a lab: systemd booted by systemd-nspawn over an overlay of the shared Debian root."""

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from .host import CommandFailed, LabError, ip, link_exists, netns_exists, run, spawn, tail, unmount_below, wait_for

REPO = Path(__file__).resolve().parents[2]
STATIC_FILES = REPO / "lab" / "machine"
EXAMPLE_UNITS = REPO / "lab" / "units"
PACKAGING = REPO / "packaging"
# What the package fleet installs beside fleetd (cmake/packages.cmake), by the same paths.
PACKAGED = {
    "fleet.service": "usr/lib/systemd/system/fleet.service",
    "fleet.socket": "usr/lib/systemd/system/fleet.socket",
    "fleet.sysusers": "usr/lib/sysusers.d/fleet.conf",
    "fleet.tmpfiles": "usr/lib/tmpfiles.d/fleet.conf",
    "fleet.rules": "usr/share/polkit-1/rules.d/fleet.rules",
}
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


class Machine:
    def __init__(self, lab, number):
        self.lab = lab
        self.number = number
        self.name = f"machine-{number}"
        self.id = hashlib.sha256(f"fleet lab {self.name}".encode()).hexdigest()[:32]
        self.address = f"{lab.network}.1.{number}"
        self.folder = lab.folder / self.name
        self.root = self.folder / "root"  # The overlay, as the machine sees it.
        self.console = self.folder / "console.log"
        self.netns = f"{lab.prefix}-m{number}"
        self.link = f"{lab.prefix}m{number}"  # The bridge's end of the cable.
        self.cgroup = lab.cgroup.child(self.name)
        self.nspawn_name = self.netns

    # --- disk -------------------------------------------------------------------------------------------------

    def install(self, debian, bin_dir):
        """Makes the machine's disk: the shared root with this machine's own files over it."""
        upper = self.folder / "upper"
        for folder in (upper, self.folder / "work", self.root, self.folder / "containers"):
            folder.mkdir(parents=True)
        shutil.copytree(STATIC_FILES, upper, dirs_exist_ok=True)

        environment = " ".join(f"{key}={value}" for key, value in self.lab.environment.items())
        hosts = "".join(f"{m.address} {m.name}\n" for m in self.lab.machines())
        self._write(upper, "etc/hostname", f"{self.name}\n")
        self._write(upper, "etc/machine-id", f"{self.id}\n")
        self._write(upper, "etc/hosts", f"127.0.0.1 localhost\n{hosts}{self.lab.gateway} etcd registry\n")
        self._write(upper, "etc/systemd/system.conf.d/lab.conf", f"[Manager]\nDefaultEnvironment={environment}\n")
        self._write(upper, "etc/containers/registries.conf",
                    'unqualified-search-registries = ["docker.io"]\n\n[[registry]]\nlocation = "docker.io"\n\n'
                    f'[[registry.mirror]]\nlocation = "{self.lab.registry_address}"\ninsecure = true\n')
        home = upper / "root"
        home.mkdir(exist_ok=True, mode=0o700)
        for unit in EXAMPLE_UNITS.glob("*/*"):
            shutil.copy(unit, home)
        run("mount", "-t", "overlay", self.nspawn_name, "-o",
            f"lowerdir={debian},upperdir={upper},workdir={self.folder / 'work'}", self.root)
        self._install_ssh()
        if (bin_dir / "fleetd").exists():
            self._install_fleet()
        self.install_programs(bin_dir)

    def _install_fleet(self):
        """What the package and its maintainer scripts would do, but the programs."""
        for file, path in PACKAGED.items():
            self._write(self.root, path, (PACKAGING / file).read_text())
        for unit, target in (("fleet.service", "multi-user.target"), ("fleet.socket", "sockets.target")):
            wants = self.root / f"etc/systemd/system/{target}.wants"
            wants.mkdir(exist_ok=True)
            (wants / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")
        self._write(self.root, "etc/systemd/system/fleet.socket.d/lab.conf",
                    "# The tests ask the API from outside the machine.\n[Socket]\nListenStream=49153\n")
        run("chroot", self.root, "systemd-sysusers", "fleet.conf")
        run("chroot", self.root, "usermod", "--append", "--groups", "fleet", "core")
        self._write(self.root, "etc/fleet/fleet.conf", self.fleet_conf())
        self.lab.etcd.install_certificates(self.root)
        for file in (self.root / "etc/fleet").glob("*.key"):
            run("chroot", self.root, "chgrp", "fleet", f"/etc/fleet/{file.name}")
            file.chmod(0o640)

    def _install_ssh(self):
        """A host key of the machine's own, and the lab's key for root and core: to log in with, here and elsewhere."""
        self.make_host_key()
        for home, user in (("root", 0), ("home/core", (self.root / "home/core").stat().st_uid)):
            folder = self.root / home / ".ssh"
            folder.mkdir(mode=0o700, exist_ok=True)
            shutil.copy(self.lab.ssh_key, folder / "id_ed25519")
            shutil.copy(f"{self.lab.ssh_key}.pub", folder / "authorized_keys")
            for file in (folder, *folder.iterdir()):
                os.chown(file, user, user)

    @property
    def host_key(self):
        """The public key by which the machine is known, as in a known_hosts file: type and base64."""
        return " ".join((self.root / HOST_KEY).with_suffix(".pub").read_text().split()[:2])

    def make_host_key(self):
        """A new one, which the next login meets."""
        for file in (self.root / HOST_KEY, (self.root / HOST_KEY).with_suffix(".pub")):
            file.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", self.root / HOST_KEY)

    def fleet_conf(self, **changed):
        """The text of the machine's fleet.conf as the lab makes it; changed: keys with other values, None: left out."""
        metadata = self.lab.state["machines"][str(self.number)]
        keys = {**self.lab.etcd.fleet_conf(), "agent_ttl": f"{self.lab.state['ttl']}s",
                "metadata": ",".join(f"{key}={value}" for key, value in sorted(metadata.items())), **changed}
        return "".join(f'{key}="{value}"\n' for key, value in keys.items() if value is not None)

    def configure(self, text):
        """Writes fleet.conf. Answers whether that changed it; fleet reads it when it is restarted or reloaded."""
        file = self.root / "etc/fleet/fleet.conf"
        if file.read_text() == text:
            return False
        file.write_text(text)
        return True

    @staticmethod
    def _write(upper, name, text):
        file = upper / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def install_programs(self, bin_dir):
        """Puts fleetd and fleetctl into the machine, also while it runs: a restart of fleet then takes the new one."""
        for program in ("fleetd", "fleetctl"):
            if (bin_dir / program).exists():
                aside = self.root / "usr/bin" / f".{program}.new"
                shutil.copy(bin_dir / program, aside)
                aside.rename(self.root / "usr/bin" / program)

    def unmount(self):
        unmount_below(self.folder)

    # --- network ----------------------------------------------------------------------------------------------

    def plug_in(self):
        """Gives the machine a new network: addresses and packet filters do not survive a loss of power."""
        self.unplug()
        bits = "/16"
        ip("netns", "add", self.netns)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        ip("link", "set", self.link, "master", self.lab.bridge, "up")
        ip("-n", self.netns, "link", "set", "lo", "up")
        ip("-n", self.netns, "address", "add", self.address + bits, "dev", "eth0")
        ip("-n", self.netns, "link", "set", "eth0", "up")
        ip("-n", self.netns, "route", "add", "default", "via", self.lab.gateway)
        # Containers reach the outside through the machine; /proc/sys is not writable once it has booted.
        run("ip", "netns", "exec", self.netns, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")

    def unplug(self):
        if netns_exists(self.netns):
            ip("netns", "delete", self.netns)
        if link_exists(self.link):  # Removed with the namespace, but only when the kernel comes to it.
            ip("link", "delete", self.link, check=False)

    def cut(self):
        ip("link", "set", self.link, "down")

    def rejoin(self):
        ip("link", "set", self.link, "up")

    # --- power ------------------------------------------------------------------------------------------------

    def running(self):
        return self.cgroup.populated()

    def power_on(self):
        """Starts the boot; wait_booted() waits for its end."""
        if self.running():
            raise LabError(f"{self.name} is running already")
        if not self.root.is_mount():
            raise LabError(f"{self.name} has no disk mounted at {self.root}; make a new lab: lab down, then lab up")
        self.plug_in()
        spawn(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", f"--directory={self.root}",
               f"--machine={self.nspawn_name}", f"--hostname={self.name}", f"--uuid={self.id}",
               f"--network-namespace-path=/run/netns/{self.netns}", "--capability=all", "--resolv-conf=off",
               "--timezone=off", "--link-journal=no", "--console=read-only",
               # podman cannot put its overlays on an overlay.
               f"--bind={self.folder / 'containers'}:/var/lib/containers"],
              self.cgroup, self.console,
              {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"})

    def wait_booted(self, seconds=60):
        """Waits until services can be used. Not until every service is up: fleet's own start may depend on etcd."""
        def up():
            if not self.running():
                raise LabError(f"{self.name} ended while it booted; its console said:\n{tail(self.console)}")
            return self._init() and self.run("systemctl", "is-active", "basic.target", check=False).stdout == "active\n"
        # Entering is possible only when systemd has set itself up, so look for that first.
        wait_for(f"{self.name} to boot", up, seconds, lambda: f"its console said:\n{tail(self.console)}")

    def kill(self):
        """The power is gone: no process of the machine gets another instruction, and its address is dead."""
        init = self._init()
        if not init:
            raise LabError(f"{self.name} is not running")
        os.kill(init, signal.SIGKILL)  # The kernel kills the rest of the machine's processes with its first.
        wait_for(f"{self.name} to be gone", lambda: not self.running(), 20)
        self.cgroup.remove()
        self.unplug()

    # --- inside -----------------------------------------------------------------------------------------------

    def _init(self):
        """Host's id of the machine's first process, or None. Containers inside have a deeper process 1 of their own."""
        own = _pid_depth("self")
        for pid in self.cgroup.processes():
            ids = _namespace_ids(pid)
            if len(ids) == own + 1 and ids[-1] == "1":
                return pid
        return None

    def command(self, *argv):
        """The host command that runs argv inside the machine, in its namespaces and among its control groups."""
        init = self._init()
        if not init:
            raise LabError(f"{self.name} is not running; start it: lab boot {self.number}")
        # Beside the machine's own systemd units, so that what runs here lives and dies with the machine.
        group = self.cgroup.child("payload/lab-shell")
        group.create()
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "USER": "root",
               "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb"), "PAGER": "cat", "SYSTEMD_PAGER": "",
               **self.lab.environment}
        # Who runs the lab in the background may have it ignore interrupts; what runs inside is a session of its own.
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group.path / "cgroup.procs"),
                "nsenter", f"--target={init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                "--wdns=/root", "env", "--default-signal", "-i", *(f"{k}={v}" for k, v in env.items()), *map(str, argv)]

    def run(self, *argv, check=True, timeout=60, input=None):
        """Runs a command inside to its end and returns it, with what it printed as text."""
        try:
            done = subprocess.run(self.command(*argv), text=True, capture_output=True, timeout=timeout,
                                  **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name}: {' '.join(map(str, argv))}: still running after {timeout} s") from None
        if check and done.returncode != 0:
            raise CommandFailed(f"{self.name}: {' '.join(map(str, argv))}: exit status {done.returncode}: "
                                f"{(done.stderr or done.stdout).strip()}")
        return done


def _namespace_ids(pid):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[1:]
    except OSError:
        pass  # It ended while we looked.
    return []


def _pid_depth(pid):
    return len(_namespace_ids(pid))
