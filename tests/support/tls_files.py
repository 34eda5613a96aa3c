"""An authority, the node's certificate and one for a peer."""

import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.network.tls.contexts import Following, accept, client_context, server_context
from tests.support.certificates import Authority, Pair


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "Unknown CA")


@pytest.fixture(scope="session")
def node_pair(authority: Authority) -> Pair:
    return authority.issue("node")


@pytest.fixture(scope="session")
def peer_pair(authority: Authority) -> Pair:
    return authority.issue("peer")


@pytest.fixture(scope="session")
def files(authority: Authority, node_pair: Pair) -> TlsFiles:
    return files_of(node_pair, authority.ca)


def files_of(pair: Pair, ca: Path) -> TlsFiles:
    return TlsFiles(str(pair.certificate), str(pair.key), ca=str(ca))


def entry(files: TlsFiles, *, mutual: bool = True) -> Callable[[socket.socket], socket.socket]:
    contexts = Following(files, partial(server_context, mutual=mutual))
    return partial(accept, contexts=contexts)


def options(pair: Pair, ca: Path) -> list[str]:
    return ["+tls", str(pair.key), str(pair.certificate), "+cf", str(ca)]


@pytest.fixture
def wrap(authority: Authority, peer_pair: Pair) -> Callable[[socket.socket], ssl.SSLSocket]:
    context = client_context(files_of(peer_pair, authority.ca))
    return partial(context.wrap_socket, server_hostname="127.0.0.1")
