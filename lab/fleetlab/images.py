"""The container images of the guide, made from busybox and pushed to the lab's own registry: no image can be had from
outside, and what the guide shows is fleet, not Apache."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import urllib.error
import urllib.request

from .host import LabError, opener

# PID 1 of a container ignores a signal that it does not handle, so each script handles TERM: else "docker stop" would
# take its full ten seconds before it kills.
APACHE = """#!/bin/sh
# Stands in for Apache: answers on port 80 until told to stop. Arguments (-D FOREGROUND) are accepted and ignored.
trap 'kill $server; exit 0' TERM INT
httpd -f -p 80 -h /var/www &
server=$!
wait $server
"""
DATADOG = """#!/bin/sh
# Stands in for the monitoring agent: says now and then that it is there.
trap 'exit 0' TERM INT
while true; do echo "agent on $(hostname) running"; sleep 10 & wait $!; done
"""
IMAGES = {
    "library/busybox": ({}, ["sh"]),
    "coreos/apache": ({"usr/sbin/apache2ctl": APACHE, "var/www/index.html": "It works!\n"}, ["/usr/sbin/apache2ctl"]),
    "datadog/docker-dd-agent": ({"entrypoint.sh": DATADOG}, ["/entrypoint.sh"]),
}


def push_all(registry, busybox):
    """Pushes every image to the registry at host:port; busybox is a static one's path."""
    for name, (files, command) in IMAGES.items():
        _push(registry, name, _layer(busybox, files), command)


def _layer(busybox, files):
    """An uncompressed layer: busybox, a link for each of its commands, and the given files."""
    commands = subprocess.run([busybox, "--list"], text=True, capture_output=True, check=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        def add(name, data=b"", **fields):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for field, value in fields.items():
                setattr(entry, field, value)
            tar.addfile(entry, io.BytesIO(data))
        for folder in ("bin", "etc", "proc", "sys", "dev", "run", "root", "usr", "usr/bin", "usr/sbin", "var", "var/www"):
            add(folder, type=tarfile.DIRTYPE, mode=0o755)
        add("tmp", type=tarfile.DIRTYPE, mode=0o1777)
        with open(busybox, "rb") as program:
            add("bin/busybox", program.read(), mode=0o755)
        for command in commands:
            if command != "busybox":
                add(f"bin/{command}", type=tarfile.SYMTYPE, linkname="busybox", mode=0o777)
        add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644)
        add("etc/group", b"root:x:0:\n", mode=0o644)
        for name, text in files.items():
            add(name, text.encode(), mode=0o755)
    return out.getvalue()


def _digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _push(registry, name, layer, command):
    packed = gzip.compress(layer, mtime=0)
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Cmd": command, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }).encode()
    for blob in (packed, config):
        with _ask("POST", f"http://{registry}/v2/{name}/blobs/uploads/") as answer:
            place = answer.headers["Location"]
        join = "&" if "?" in place else "?"
        _ask("PUT", f"{place}{join}digest={_digest(blob)}", blob, "application/octet-stream").close()
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": kind,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                   "size": len(config), "digest": _digest(config)},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": len(packed), "digest": _digest(packed)}],
    }).encode()
    _ask("PUT", f"http://{registry}/v2/{name}/manifests/latest", manifest, kind).close()


def _ask(method, url, body=b"", kind=None):
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": kind} if kind else {})
    try:
        return opener.open(request, timeout=20)
    except urllib.error.URLError as error:
        raise LabError(f"cannot push an image: {method} {url}: {error}") from None
