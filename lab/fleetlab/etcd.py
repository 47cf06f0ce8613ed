"""An etcd of a lab, one server or several members, plain or with TLS, client certificates and users: its life, the
faults that it can have, and a look into it past every fleetd."""

import base64
import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager

from .host import LabError, opener, remove_tree, run, spawn, tail, unmount_below, wait_for

USER, PASSWORD = "fleet", "word"  # etcd's user that a secure etcd knows fleet by.


class Member:
    """One server."""

    def __init__(self, etcd, number):
        self.etcd = etcd
        self.name = f"etcd{number}"
        # The first has etcd's usual ports.
        self.client_port, self.peer_port = 2379 + 10 * (number - 1), 2380 + 10 * (number - 1)
        self.data = etcd.lab.folder / self.name
        self.log = etcd.lab.folder / f"{self.name}.log"
        self.cgroup = etcd.lab.cgroup.child(self.name)

    @property
    def url(self):
        return f"{self.etcd.scheme}://{self.etcd.lab.gateway}:{self.client_port}"

    @property
    def peer_url(self):
        return f"http://{self.etcd.lab.gateway}:{self.peer_port}"

    def running(self):
        return self.cgroup.populated()

    def spawn(self, *options):
        if self.running():
            raise LabError(f"{self.name} is running already")
        members = ",".join(f"{m.name}={m.peer_url}" for m in self.etcd.members)
        spawn([self.etcd.lab.program("usr/bin/etcd"), f"--name={self.name}", f"--data-dir={self.data}", "--enable-v2",
               f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}",
               f"--listen-peer-urls={self.peer_url}", f"--initial-advertise-peer-urls={self.peer_url}",
               f"--initial-cluster={members}", "--logger=zap", "--log-level=warn", *self.etcd.tls_options(),
               *options],
              self.cgroup, self.log)

    def answers(self):
        if not self.running():
            raise LabError(f"{self.name} ended at once; its log ends:\n{tail(self.log)}")
        return self.etcd.ctl("endpoint", "health", endpoints=self.url, check=False).returncode == 0

    def wait_answers(self):
        wait_for(f"{self.name} to answer at {self.url}", self.answers, 30, lambda: f"its log ends:\n{tail(self.log)}")

    def start(self, *options):
        self.spawn(*options)
        self.wait_answers()

    def stop(self):
        self.cgroup.freeze(False)
        self.cgroup.signal(signal.SIGTERM)
        wait_for(f"{self.name} to stop", lambda: not self.running(), 20)

    def kill(self):
        """It is gone between two instructions; what it had acknowledged is on its disk."""
        self.cgroup.kill()

    def freeze(self):
        """It stops in its tracks: connections stay open and nothing answers, as when its disk hangs."""
        self.cgroup.freeze(True)

    def thaw(self):
        self.cgroup.freeze(False)

    @contextmanager
    def on_disk_of(self, megabytes):
        """Restarts it with its data on a disk of that size (etcd sets 128 MB aside for its log), and at the end as it was."""
        elsewhere = self.data.with_suffix(".elsewhere")
        self.stop()
        self.data.rename(elsewhere)
        self.data.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", f"fleet-lab-{self.name}", self.data)
        run("cp", "-a", f"{elsewhere}/.", self.data)
        self.start()
        try:
            yield
        finally:
            self.kill()
            (self.data / "filler").unlink(missing_ok=True)
            remove_tree(elsewhere)
            run("cp", "-a", f"{self.data}/.", elsewhere)
            unmount_below(self.data)
            self.data.rmdir()
            elsewhere.rename(self.data)
            self.start()

    def fill_disk(self):
        """Whatever room is left on the disk goes to a file, which is answered."""
        file = self.data / "filler"
        with open(file, "wb", buffering=0) as filler:
            for size in (1 << 20, 4096):
                try:
                    while filler.write(b"\0" * size) == size:
                        pass
                except OSError:
                    pass
        return file


class Etcd:
    def __init__(self, lab, members=1, secure=False):
        self.lab = lab
        self.secure = secure
        self.members = [Member(self, number) for number in range(1, members + 1)]
        self.certificates = lab.folder / "certificates"

    @property
    def scheme(self):
        return "https" if self.secure else "http"

    @property
    def urls(self):
        return [member.url for member in self.members]

    @property
    def url(self):
        return self.urls[0]

    def running(self):
        return all(member.running() for member in self.members)

    # --- life and faults, of all members --------------------------------------------------------------------------

    def start(self):
        """Starts the members that do not run, anew or with their data."""
        fresh = not self.members[0].data.exists()
        if fresh and self.secure:
            self._make_certificates()
        stopped = [member for member in self.members if not member.running()]
        for member in stopped:
            member.spawn()
        for member in stopped:
            member.wait_answers()
        if fresh and self.secure:
            self._make_users()

    def stop(self):
        for member in self.members:
            member.stop()

    def kill(self):
        for member in self.members:
            member.kill()

    def freeze(self):
        for member in self.members:
            member.freeze()

    def thaw(self):
        for member in self.members:
            member.thaw()

    # --- what is in it ----------------------------------------------------------------------------------------------

    def ctl(self, *argv, endpoints=None, user="root:secret", certificate="client", check=True, timeout=20):
        """etcdctl, version 3, as root."""
        options = [f"--endpoints={endpoints or ','.join(self.urls)}", "--command-timeout=5s", "--dial-timeout=2s"]
        if self.secure:
            options += [f"--cacert={self.certificate('ca')}"]
            if certificate:
                options += [f"--cert={self.certificate(certificate)}", f"--key={self.key(certificate)}"]
            if user and (self.certificates / "users-made").exists():
                options += [f"--user={user}"]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL_")}
        return run(self.lab.program("usr/bin/etcdctl"), *options, *argv, check=check, timeout=timeout,
                   env={**clean, "ETCDCTL_API": "3"})

    def leader(self):
        """The member that leads, or None."""
        for member in self.members:
            said = self.ctl("endpoint", "status", "--write-out=fields", endpoints=member.url, check=False).stdout
            fields = dict(line.split(" : ") for line in said.splitlines() if " : " in line)
            if fields.get('"MemberID"') and fields['"MemberID"'] == fields.get('"Leader"'):
                return member
        return None

    def ask(self, path, timeout=10, **body):
        """A call of a plain etcd's version 3 through its JSON gateway, such as ask("kv/range", key=encode("x")). Of the
        members that run the first is asked."""
        url = next((member.url for member in self.members if member.running()), self.url)
        request = urllib.request.Request(f"{url}/v3/{path}", data=json.dumps(body).encode())
        try:
            with opener.open(request, timeout=timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise LabError(f"etcd refuses {path}: {error.read().decode(errors='replace')}") from None
        except OSError as error:
            raise LabError(f"etcd does not answer {path}: {error}") from None

    def revision(self):
        """Grows with every change; renewing a lease is none."""
        return int(self._read("", limit=1)["header"]["revision"])

    def keys(self, prefix=""):
        """{key: its entry} of all keys that begin so; an entry has value, mod_revision and so on."""
        found = self._read(prefix).get("kvs", [])
        return {decode(each["key"]): {**each, "value": decode(each.get("value", ""))} for each in found}

    def _read(self, prefix, limit=0):
        if self.secure:  # The gateway refuses a client that has a certificate, and etcd one that has none.
            return json.loads(self.ctl("get", "--prefix", prefix, f"--limit={limit}", "--write-out=json").stdout)
        return self.ask("kv/range", key=encode(prefix or "\0"), range_end=encode(end_of(prefix)), limit=limit)

    def put(self, key, value):
        return self.ask("kv/put", key=encode(key), value=encode(value))

    def compact(self):
        """Forgets all that was before now."""
        self.ask("kv/compaction", revision=self.revision(), physical=True)

    def make_room(self, prefix):
        """What an operator does about a full database: removes the keys that filled it, and lifts the alarm."""
        self.ask("kv/deleterange", key=encode(prefix), range_end=encode(end_of(prefix)))
        self.compact()
        self.ask("maintenance/defragment", timeout=30)
        for alarm in self.ask("maintenance/alarm", action="GET").get("alarms", []):
            self.ask("maintenance/alarm", **{**alarm, "action": "DEACTIVATE"})

    def said(self, lines=15):
        return "\n".join(f"{member.name}:\n{tail(member.log, lines)}" for member in self.members)

    # --- TLS and users --------------------------------------------------------------------------------------------

    def certificate(self, name):
        return self.certificates / f"{name}.pem"

    def key(self, name):
        return self.certificates / f"{name}.key"

    def tls_options(self):
        if not self.secure:
            return []
        return [f"--cert-file={self.certificate('server')}", f"--key-file={self.key('server')}", "--client-cert-auth",
                f"--trusted-ca-file={self.certificate('ca')}"]

    def _make_certificates(self):
        """Two authorities; of the first one the server's certificate, which names the bridge's address and nothing
        else, and the client's."""
        self.certificates.mkdir(exist_ok=True)
        for authority in ("ca", "stranger"):
            run("openssl", "req", "-x509", *_NEW_KEY, "-days", "2", "-subj", f"/CN={authority}",
                "-keyout", self.key(authority), "-out", self.certificate(authority))
        for name, names in (("server", f"IP:{self.lab.gateway}"), ("client", "DNS:client")):
            request, extension = self.certificates / f"{name}.csr", self.certificates / f"{name}.ext"
            extension.write_text(f"subjectAltName={names}\n")
            run("openssl", "req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", self.key(name), "-out", request)
            run("openssl", "x509", "-req", "-in", request, "-CA", self.certificate("ca"), "-CAkey", self.key("ca"),
                "-CAcreateserial", "-days", "2", "-extfile", extension, "-out", self.certificate(name))

    def _make_users(self):
        for argv in (["user", "add", "root:secret"], ["user", "grant-role", "root", "root"], ["role", "add", USER],
                     ["role", "grant-permission", USER, "readwrite", "--prefix=true", "/_coreos.com/fleet/"],
                     ["user", "add", f"{USER}:{PASSWORD}"], ["user", "grant-role", USER, USER], ["auth", "enable"]):
            self.ctl(*argv)
        (self.certificates / "users-made").touch()

    def fleet_conf(self):
        """What fleet.conf says of it, by key; the files are where install_certificates() puts them."""
        keys = {"etcd_servers": ",".join(self.urls)}
        if self.secure:
            keys |= {"etcd_cafile": "/etc/fleet/ca.pem", "etcd_certfile": "/etc/fleet/client.pem",
                     "etcd_keyfile": "/etc/fleet/client.key", "etcd_username": USER, "etcd_password": PASSWORD}
        return keys

    def install_certificates(self, root):
        if self.secure:
            for file in (self.certificate("ca"), self.certificate("stranger"), self.certificate("client"),
                         self.key("client")):
                shutil.copy(file, root / "etc/fleet")


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def end_of(prefix):
    """The first key that does not begin with it; "\\0" stands for none."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else "\0"


def encode(text):
    return base64.b64encode(text.encode()).decode()


def decode(text):
    return base64.b64decode(text).decode(errors="replace")
