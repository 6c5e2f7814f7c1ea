"""A server with https and users: certificates made for the session, users in files."""

from __future__ import annotations

import base64
import subprocess
import tempfile
from pathlib import Path

from elasticsearch import Elasticsearch

from py_image_dedup.store.elastic import ElasticOptions
from tests.servers.distribution import NEWEST
from tests.servers.node import Node, prepare
from tests.servers.sites import Site

ADMIN = ("admin", "sesame-admin")
READER = ("reader", "sesame-reader")
DEDUP = ("dedup", "sesame-dedup")
WORKER = ("worker", "sesame-dedup")

# bcrypt of the passwords above, for the server's file of users.
_USERS = b"""admin:$2a$04$F5pAREJNPNt4dUxFdQP.KuZmft27pVATqYN1bWoQiyIghcLcgcue2
reader:$2a$04$CperqRYnVYsb9Sh1ml0.h.f3pMbGpIgU7IiclqXLtX3QFB6nGdIDS
dedup:$2a$04$wZjEytE2JtllvGtmbUUzmuyvZsJRZIxNnNWzRTGA.EOgLDE6dwYgG
worker:$2a$04$wZjEytE2JtllvGtmbUUzmuyvZsJRZIxNnNWzRTGA.EOgLDE6dwYgG
"""
_USERS_ROLES = b"""superuser:admin
reading:reader
deduplicating:dedup
working:worker
"""
# The last two are what docs/scaling.md tells people to grant.
_ROLES = b"""reading:
  indices:
    - names: ["test-*"]
      privileges: ["read", "view_index_metadata"]
deduplicating:
  indices:
    - names: ["test-*"]
      privileges: ["read", "write", "manage"]
working:
  indices:
    - names: ["test-*"]
      privileges: ["read", "write", "maintenance", "view_index_metadata"]
"""
CERTIFICATE = "http.crt"


def certificate(folder: Path) -> tuple[bytes, bytes]:
    """Make a key and a certificate for loopback that is its own authority; both PEM."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:TRUE"),
            *("-keyout", folder / "http.key", "-out", folder / CERTIFICATE),
        ],
        check=True,
        capture_output=True,
    )
    return (folder / "http.key").read_bytes(), (folder / CERTIFICATE).read_bytes()


def prepare_secured(session: Path) -> Node:
    """Make the folder of a server with https and users."""
    with tempfile.TemporaryDirectory() as folder:
        key, public = certificate(Path(folder))
    settings = {
        "xpack.security.enabled": "true",
        "xpack.security.http.ssl.enabled": "true",
        "xpack.security.http.ssl.key": "http.key",
        "xpack.security.http.ssl.certificate": CERTIFICATE,
        "xpack.security.authc.realms.file.file1.order": "0",
        "xpack.security.autoconfiguration.enabled": "false",
    }
    files = {
        "http.key": key,
        CERTIFICATE: public,
        "users": _USERS,
        "users_roles": _USERS_ROLES,
        "roles.yml": _ROLES,
    }
    authorization = "Basic " + base64.b64encode(":".join(ADMIN).encode()).decode()
    return prepare(NEWEST, session, "secured", settings, files, scheme="https", authorization=authorization)


class SecuredSite(Site):
    """The server with https and users."""

    def __init__(self, node: Node) -> None:
        self.node = node

    @property
    def ca(self) -> Path:
        """The file of the authority."""
        return self.node.folder / "config" / CERTIFICATE

    def options(self, index: str, user: tuple[str, str] = ADMIN) -> ElasticOptions:
        """See ``Site.options``."""
        return ElasticOptions(
            port=self.node.port,
            index=index,
            scheme="https",
            username=user[0],
            password=user[1],
            ca_certificate=self.ca,
            patience_seconds=2,
        )

    def client(self) -> Elasticsearch:
        """See ``Site.client``."""
        return Elasticsearch(self.node.url, ca_certs=str(self.ca), basic_auth=ADMIN, request_timeout=60)
