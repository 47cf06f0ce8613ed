"""The Debian root folder that all machines share, made once by mmdebstrap and kept between runs."""

import fcntl
import hashlib
import subprocess
from contextlib import contextmanager
from pathlib import Path

from .host import LabError, remove_tree, tail

CACHE = Path("/var/cache/fleet-lab")

# What a machine runs. etcd-server and docker-registry are here too, though no machine starts them: the lab runs
# them out of this folder on the bridge's address, so that the host's own services stay as they are.
PACKAGES = """
    systemd systemd-sysv dbus polkitd iproute2 iputils-ping procps curl ca-certificates openssh-server openssh-client sudo
    podman podman-docker crun iptables catatonit netavark aardvark-dns busybox-static
    etcd-client etcd-server docker-registry faketime
    libgrpc++1.51 libprotobuf32 libfmt9 libsqlite3-0 libssl3 libsystemd0
""".split()

# What comes with the packages and a machine of the lab has no use for. podman.service is left to its socket, which
# /run/docker.sock leads to.
MASK = """
    etcd.service docker-registry.service podman-auto-update.service podman-auto-update.timer podman-restart.service
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    console-getty.service getty@tty1.service
"""
# The user that fleetctl logs in as, with CoreOS's rights: sudo, the journal, and (see Machine) fleet's socket.
HOOK = f"""
set -e
systemctl --root="$1" disable podman.service
systemctl --root="$1" mask {" ".join(MASK.split())}
chroot "$1" useradd --create-home --shell /bin/bash --groups sudo,systemd-journal core
echo 'core ALL=(ALL) NOPASSWD: ALL' >"$1/etc/sudoers.d/core"
rm "$1"/etc/ssh/ssh_host_*  # each machine gets a key of its own
"""

COMMAND = [
    "mmdebstrap", "--mode=root", "--variant=minbase", "--include=" + ",".join(PACKAGES),
    '--aptopt=Acquire::Languages "none"', "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--customize-hook=" + HOOK,
]


@contextmanager
def _only_one(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(say):
    """The root folder, made now if this recipe has not been made before."""
    recipe = hashlib.sha256(" ".join(COMMAND).encode()).hexdigest()[:12]
    root = CACHE / f"root-{recipe}"
    if root.exists():
        return root
    with _only_one(CACHE / "lock"):
        if root.exists():  # Another lab tool made it while we waited.
            return root
        # Made aside and renamed, so that one that was broken off is never taken for a whole one.
        aside, log = CACHE / f"making-{recipe}", CACHE / f"making-{recipe}.log"
        if aside.exists():
            remove_tree(aside)
        say(f"making the machines' Debian root folder (once, about a minute; log: {log})")
        with open(log, "w") as out:
            try:
                status = subprocess.run([*COMMAND, "bookworm", str(aside)], stdin=subprocess.DEVNULL, stdout=out,
                                        stderr=subprocess.STDOUT, timeout=900).returncode
            except FileNotFoundError:
                raise LabError("mmdebstrap is not installed; lab/install-packages installs what the lab needs") from None
            except subprocess.TimeoutExpired:
                raise LabError(f"mmdebstrap did not end within 15 minutes; its last words:\n{tail(log)}") from None
        if status != 0:
            raise LabError(f"mmdebstrap could not make the Debian root folder (exit status {status}); "
                           f"can this host reach a Debian mirror? Its last words:\n{tail(log)}")
        aside.rename(root)
    return root
