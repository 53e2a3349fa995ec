"""The places that the source contract is tested on: a folder, the embedded server and OpenSSH's own server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.localdir import LocalSource
from connectors.sftp import SftpSource
from connectors.sftp_server import EmbeddedServer
from counterfoil.protocols import Source
from tests.plugins.places import Place
from tests.plugins.servers import OpenSsh


@pytest.fixture
def sftp_to() -> Callable[..., SftpSource]:
    """``sftp_to(server, **changes)``: a source on an embedded server, that gives up sooner than a partner's would."""

    def source(server: EmbeddedServer, **changes: Any) -> SftpSource:
        usual: dict[str, Any] = {
            "alias": "northstar",
            "host": server.host,
            "port": server.port,
            "user": "partner",
            "host_keys": [server.host_key_line],
            "root": "/",
            "password": "a password",
            "connect_timeout_s": 20,
            "read_timeout_s": 20,
        }
        return SftpSource(**(usual | changes))

    return source


@pytest.fixture
def sshd_to() -> Callable[..., SftpSource]:
    """``sshd_to(openssh, root, **changes)``: a source on OpenSSH's server."""

    def source(server: OpenSsh, root: Path, **changes: Any) -> SftpSource:
        usual: dict[str, Any] = {
            "alias": "northstar",
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "host_keys": [server.host_keys["ed25519"].line],
            "root": str(root),
            "key_file": server.key.path,
        }
        return SftpSource(**(usual | changes))

    return source


@pytest.fixture(params=["folder", "embedded", "openssh"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    serve: Callable[..., EmbeddedServer],
    sftp_to: Callable[..., SftpSource],
    sshd_to: Callable[..., SftpSource],
) -> Place:
    """Each kind of place in turn, with an empty folder ``out``."""
    root = tmp_path / "root"
    (root / "out").mkdir(parents=True)
    source: Source
    if request.param == "folder":
        source = LocalSource(alias="northstar", root=root)
    elif request.param == "embedded":
        source = sftp_to(serve(root))
    else:
        source = sshd_to(request.getfixturevalue("openssh"), root)
    return Place(root, source)
