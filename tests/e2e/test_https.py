"""fleetctl over https: a TLS-terminating proxy in front of machine 1's API, as an operator would put one there, with
certificates made here. fleetctl runs on the host. Behaviour document 6.1; section 8, row 37: what the server shows is
always verified."""

import os
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import REPO

from fleetlab.fleet import PORT
from fleetlab.host import run

FLEETCTL = Path(os.environ.get("FLEET_BIN") or REPO / "build/release/bin").resolve() / "fleetctl"


class Authority:
    """Makes certificates: NAME.pem and NAME.key in its folder."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")

    def make(self, name, alternative=None, days=2):
        request, extension = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={alternative}\n" if alternative else "")
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", self.folder / f"{name}.key", "-out", request)
        run("openssl", "x509", "-req", "-in", request, "-CA", self.folder / f"{self.name}.pem", "-CAkey",
            self.folder / f"{self.name}.key", "-CAcreateserial", "-days", days, "-extfile", extension,
            "-out", self.folder / f"{name}.pem")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = Authority(folder, "ca"), Authority(folder, "other-ca")
    ours.make("server", "IP:127.0.0.1,DNS:localhost")
    ours.make("elsewhere", "IP:192.0.2.1,DNS:fleet.example")
    ours.make("expired", "IP:127.0.0.1", days=-1)
    ours.make("client")
    theirs.make("stranger")
    return folder


class Proxy:
    """Speaks TLS to clients and passes what they say on to machine 1."""

    def __init__(self, lab, pki, certificate="server", ask_for_client=False, address="127.0.0.1"):
        self.upstream = (lab.machine(1).address, PORT)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki / f"{certificate}.pem", pki / f"{certificate}.key")
        if ask_for_client:
            self.context.load_verify_locations(pki / "ca.pem")
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.clients = []  # the names in the certificates that were shown
        self.bytes_to_api = 0
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(plain,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, plain):
        # One request after another in one thread: fleetctl sends one and waits for its answer.
        try:
            with self.context.wrap_socket(plain, server_side=True) as client, \
                    socket.create_connection(self.upstream) as api:
                certificate = client.getpeercert()
                if certificate:
                    self.clients += [value for part in certificate["subject"] for key, value in part
                                     if key == "commonName"]
                answers = threading.Thread(target=self._pump, args=(api, client))
                answers.start()
                while question := client.recv(65536):
                    self.bytes_to_api += len(question)
                    api.sendall(question)
                api.shutdown(socket.SHUT_WR)
                answers.join()
        except OSError:  # The handshake failed, or one side hung up.
            plain.close()

    @staticmethod
    def _pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass


@pytest.fixture
def ctl(fleet, pki, tmp_path):
    """Calls fleetctl on the host, in the folder with the certificates."""
    def call(*argv, **environment):
        return subprocess.run([FLEETCTL, *argv], cwd=pki, text=True, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment})
    return call


def machines(done):
    return [line.split()[0] for line in done.stdout.splitlines()[1:]]


def test_what_the_server_shows_is_always_verified(ctl, lab, pki):
    # section 8, row 37: 1.0 verified nothing without a client certificate, even with a CA.
    with Proxy(lab, pki) as proxy:
        endpoint = f"--endpoint=https://127.0.0.1:{proxy.port}"
        good = ctl(endpoint, "--ca-file=ca.pem", "list-machines")
        assert good.returncode == 0 and good.stderr == "", good
        assert machines(good) == [f"{m.id[:8]}..." for m in lab.machines()]
        assert ctl(f"--endpoint=https://localhost:{proxy.port}", "--ca-file=ca.pem", "list-machines").returncode == 0
        seen = proxy.bytes_to_api
        for flags in ([], ["--ca-file=other-ca.pem"], ["--cert-file=client.pem", "--key-file=client.key"]):
            bad = ctl(endpoint, *flags, "list-machines")
            assert bad.returncode == 1 and bad.stdout == "", (flags, bad)
            assert "the certificate of 127.0.0.1 is not accepted" in bad.stderr and "--ca-file" in bad.stderr
        assert proxy.bytes_to_api == seen  # Not a word to a server that is not trusted.


@pytest.mark.parametrize("certificate, why", [("elsewhere", "mismatch"), ("expired", "expired")])
def test_a_certificate_of_another_name_or_time_is_refused(ctl, lab, pki, certificate, why):
    with Proxy(lab, pki, certificate) as proxy:
        done = ctl(f"--endpoint=https://127.0.0.1:{proxy.port}", "--ca-file=ca.pem", "list-machines")
        assert done.returncode == 1 and "is not accepted" in done.stderr and why in done.stderr, done
        assert proxy.bytes_to_api == 0


def test_client_certificates(ctl, lab, pki):
    with Proxy(lab, pki, ask_for_client=True) as proxy:
        server = [f"--endpoint=https://127.0.0.1:{proxy.port}", "--ca-file=ca.pem"]
        good = ctl(*server, "--cert-file=client.pem", "--key-file=client.key", "list-machines")
        assert good.returncode == 0 and len(machines(good)) == 3, good
        assert set(proxy.clients) == {"client"}
        seen = proxy.bytes_to_api
        for flags, said in (([], "a client certificate is wanted there (--cert-file and --key-file)"),
                            (["--cert-file=stranger.pem", "--key-file=stranger.key"],
                             "the client certificate is not accepted there")):
            bad = ctl(*server, *flags, "list-machines")
            assert bad.returncode == 1 and bad.stdout == "" and said in bad.stderr, bad
        assert proxy.bytes_to_api == seen


def test_the_flags_from_the_environment_and_by_their_old_names(ctl, lab, pki):
    with Proxy(lab, pki, ask_for_client=True) as proxy:
        url = f"https://127.0.0.1:{proxy.port}"
        assert ctl("list-machines", FLEETCTL_ENDPOINT=url, FLEETCTL_CA_FILE="ca.pem", FLEETCTL_CERT_FILE="client.pem",
                   FLEETCTL_KEY_FILE="client.key").returncode == 0
        assert ctl("list-machines", "--endpoint", url, "--etcd-cafile=ca.pem", "--etcd-certfile=client.pem",
                   "--etcd-keyfile=client.key").returncode == 0


def test_files_that_are_of_no_use_are_named(ctl, pki):
    (pki / "empty.pem").write_text("")
    cases = [
        (["--ca-file=nosuch.pem"], "nosuch.pem"),
        (["--ca-file=empty.pem"], "empty.pem"),
        (["--ca-file=ca.pem", "--cert-file=client.pem"], "--key-file"),
        (["--ca-file=ca.pem", "--key-file=client.key"], "--cert-file"),
        (["--ca-file=ca.pem", "--cert-file=nosuch.pem", "--key-file=client.key"], "nosuch.pem"),
        (["--ca-file=ca.pem", "--cert-file=client.pem", "--key-file=nosuch.key"], "nosuch.key"),
        (["--ca-file=ca.pem", "--cert-file=client.pem", "--key-file=server.key"], "server.key"),
    ]
    for flags, said in cases:
        done = ctl("--endpoint=https://127.0.0.1:1", *flags, "list-machines")
        assert done.returncode == 1, (flags, done)
        assert done.stderr.startswith("Unable to initialize client: ") and said in done.stderr, (flags, done)


def test_units_are_started_and_waited_for_over_https(ctl, lab, pki, tmp_path):
    (tmp_path / "secure.service").write_text("[Service]\nExecStart=/bin/sleep infinity\n")
    with Proxy(lab, pki, ask_for_client=True) as proxy:
        flags = [f"--endpoint=https://127.0.0.1:{proxy.port}", "--ca-file=ca.pem", "--cert-file=client.pem",
                 "--key-file=client.key"]
        started = ctl(*flags, "start", str(tmp_path / "secure.service"))
        assert started.returncode == 0 and "Unit secure.service launched on " in started.stdout, started
        assert ctl(*flags, "destroy", "secure").stdout == "Destroyed secure.service\n"


def test_https_through_a_tunnel(ctl, lab, pki):
    """Machine 3 forwards; the certificate is checked here, against the name that the endpoint has there."""
    known = pki / "known_hosts"
    known.write_text(f"{lab.machine(3).address} {lab.machine(3).host_key}\n")
    agent = ["ssh-agent", "sh", "-c", f'ssh-add -q {lab.ssh_key} && exec "$0" "$@"', str(FLEETCTL),
             "--tunnel", lab.machine(3).address, f"--known-hosts-file={known}"]

    def through(*argv):
        return subprocess.run([*agent, *argv], cwd=pki, text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    Authority(pki, "gateway-ca").make("gateway", f"IP:{lab.gateway}")
    with Proxy(lab, pki, "gateway", ask_for_client=True, address=lab.gateway) as proxy:
        endpoint = f"--endpoint=https://{lab.gateway}:{proxy.port}"
        good = through(endpoint, "--ca-file=gateway-ca.pem", "--cert-file=client.pem", "--key-file=client.key", "list-machines")
        assert good.returncode == 0 and len(machines(good)) == 3, good
        bad = through(endpoint, "--ca-file=other-ca.pem", "list-machines")
        assert bad.returncode == 1 and "is not accepted" in bad.stderr, bad
