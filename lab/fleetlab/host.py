"""What the lab needs of the host: commands, waiting, control groups, mounts, network devices."""

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path


class LabError(Exception):
    """Something failed; the text says what, on what, why, and where one can, what to do."""


class CommandFailed(LabError):
    """A command ended with an error. While something is waited for that only means: not yet."""


def run(*argv, check=True, timeout=60, **options):
    """Runs a host command to its end and returns it, with what it printed as text."""
    argv = [str(a) for a in argv]
    try:
        done = subprocess.run(argv, text=True, capture_output=True, timeout=timeout, **options)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed; lab/install-packages installs what the lab needs") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(argv)}: still running after {timeout} s") from None
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise CommandFailed(f"{' '.join(argv)}: exit status {done.returncode}: {said}")
    return done


def wait_for(what, probe, seconds, detail=lambda: ""):
    """Asks probe() until it answers something true, which is returned. Past the deadline the error says what was
    waited for, and detail() what was seen instead. A command that fails in probe() is no answer yet: a fleet that has
    lost etcd for a moment says so."""
    deadline = time.monotonic() + seconds
    while True:
        failed = ""
        try:
            answer = probe()
        except CommandFailed as error:
            answer, failed = None, str(error)
        if answer:
            return answer
        if time.monotonic() >= deadline:
            seen = failed or detail()
            raise LabError(f"waited {seconds} s for {what}, in vain" + (f"; seen: {seen}" if seen else ""))
        time.sleep(0.05)  # The pace of asking, not a guess at how long the thing takes.


# --- control groups -------------------------------------------------------------------------------------------

def cgroup_root():
    """Where the host has cgroup v2: the only hierarchy (Debian's default) or beside v1 ones."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise LabError("no cgroup v2 hierarchy is mounted on this host; "
                   "mount one: mount -t cgroup2 none /sys/fs/cgroup")


V1_SYSTEMD = Path("/sys/fs/cgroup/systemd")  # On hosts that have v1 and v2 hierarchies both.


class Cgroup:
    """One control group. Every process of a lab is started in the lab's own, so that the group is at all times, also
    after a crash of the lab tool, the exact record of what is to be killed."""

    def __init__(self, name):
        self.name = name
        self.path = cgroup_root() / name

    def child(self, name):
        return Cgroup(f"{self.name}/{name}")

    def create(self):
        self.path.mkdir(parents=True, exist_ok=True)

    def exists(self):
        return self.path.exists()

    def processes(self):
        """Process ids in this group and all below it."""
        found = []
        for folder, _, _ in os.walk(self.path):  # Which, unlike rglob, bears that groups vanish while it looks.
            try:
                found += [int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()]
            except OSError:
                pass
        return found

    def populated(self):
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except OSError:
            return False

    def freeze(self, frozen):
        (self.path / "cgroup.freeze").write_text("1" if frozen else "0")
        state = "frozen 1" if frozen else "frozen 0"
        wait_for(f"{self.name} to be {state}", lambda: state in (self.path / "cgroup.events").read_text(), 10)

    def signal(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """Kills every process in the group, whatever it forks meanwhile."""
        if not self.exists():
            return
        switch = self.path / "cgroup.kill"
        if switch.exists():
            switch.write_text("1")
        else:  # Linux before 5.14.
            self.signal(signal.SIGKILL)
        wait_for(f"the processes of {self.name} to be gone", lambda: not self.populated(), 20,
                 lambda: f"processes {self.processes()}")

    def remove(self):
        """Removes the group and those below it, and their copies in the v1 hierarchy."""
        for base in (self.path, V1_SYSTEMD / self.name):
            if not base.exists():
                continue
            for folder, _, _ in os.walk(base, topdown=False):
                wait_for(f"control group {folder} to be removable", lambda: _removed(folder), 10)


def _removed(folder):
    # The kernel answers "busy" for a moment after the last process died.
    try:
        os.rmdir(folder)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        return False


def spawn(argv, cgroup, log, env=None):
    """Starts a long-lived process in a control group, free of our terminal and of our own end."""
    cgroup.create()
    groups = [cgroup.path / "cgroup.procs"]
    if V1_SYSTEMD.exists():  # nspawn makes groups here too, below the one that it finds itself in.
        (V1_SYSTEMD / cgroup.name).mkdir(parents=True, exist_ok=True)
        groups.append(V1_SYSTEMD / cgroup.name / "cgroup.procs")
    enter = "".join(f"echo $$ >'{group}' && " for group in groups)
    with open(log, "ab") as out:
        # The shell enters the group before it becomes the program: no moment in which a crash would lose it.
        started = subprocess.Popen(["/bin/sh", "-c", enter + 'exec "$@"', "sh", *map(str, argv)],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True, cwd="/", env={**os.environ, **(env or {})})
    # From here on an empty group means that the program has ended.
    wait_for(f"{argv[0]} to start", lambda: cgroup.populated() or started.poll() is not None, 10)


# --- mounts ---------------------------------------------------------------------------------------------------

def mounts_below(folder):
    """Mount points at or below a folder, deepest first."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        where = line.split()[1].replace("\\040", " ")
        if where == str(folder) or where.startswith(f"{folder}/"):
            found.append(where)
    return sorted(found, key=len, reverse=True)


def unmount_below(folder):
    for where in mounts_below(folder):
        run("umount", where)


def remove_tree(folder):
    """Removes a folder for good, never through a mount that is still there."""
    left = mounts_below(folder)
    if left:
        raise LabError(f"will not remove {folder}: still mounted: {', '.join(left)}")
    run("rm", "-rf", "--one-file-system", folder, timeout=300)


# --- network --------------------------------------------------------------------------------------------------

def ip(*argv, check=True):
    return run("ip", *argv, check=check)


def link_exists(name):
    return Path("/sys/class/net", name).exists()


def netns_exists(name):
    return Path("/run/netns", name).exists()


# A proxy that the environment names must not come between us and our own bridge.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def tail(file, lines=15):
    try:
        return "\n".join(Path(file).read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)
