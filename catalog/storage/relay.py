"""The way of GDAL to web servers: a relay that connects to allowed addresses only.

GDAL follows redirects and asks for hosts' names by itself, and nothing of that can be switched off or seen. But it takes a
SOCKS proxy, which is asked for each connection, by the host's name, and connects itself: so every address is judged, after
names and redirects too, and it is the one that was judged that is connected to. The bytes go through as they are, encrypted
ones too. Only GDAL of this process knows the password.

The relay is a process of its own: GDAL may read from the network while its caller holds Python's lock (rasterio, where a file's
directories lie further in than was read at its opening), and a thread of the same process would never carry the answer.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import selectors
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Protocol
from urllib.request import getproxies_environment

from catalog.guards.environment import variable
from catalog.guards.json_text import parse_object
from catalog.networks import Network, RefusedAddressError, allowed_addresses

CONNECT_TIMEOUT = 10.0
"""Seconds for reaching a host; GDAL gives up before."""

_BUFFER = 2**18
_MOST_REFUSALS = 1000

# Replies of RFC 1928.
_CONNECTED, _NOT_ALLOWED, _UNREACHABLE, _REFUSED, _TIMED_OUT = 0, 2, 4, 5, 6
_IPV4, _NAME, _IPV6 = 1, 3, 4

_REFUSALS = "refusals"
"""Name of a user who asks for what was refused."""


class Way(Protocol):
    """A relay as GDAL's callers know it."""

    def proxy(self, networks: Iterable[Network]) -> str:
        """The address that GDAL takes as its proxy, for connections to these networks. Holds the password."""

    def refusal(self, message: str, networks: Iterable[Network]) -> str | None:
        """Why a host was refused, for these networks, that an error of GDAL names; None where none was."""


class RelayProcess:
    """A relay in a process of its own, which ends with this one."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", "catalog.storage.relay"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)  # noqa: S603 - this interpreter
        self._password = secrets.token_hex(16)
        if self._process.stdin is None or self._process.stdout is None:
            raise OSError("the relay has no pipes")
        self._process.stdin.write(f"{self._password}\n".encode())
        self._process.stdin.flush()
        self._port = int(self._process.stdout.readline())
        atexit.register(self.end)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """End the process, where it is this one's: a forked one has it from its parent."""
        if _relays.get(os.getpid()) is self:
            self._process.kill()
            self._process.wait()

    def proxy(self, networks: Iterable[Network]) -> str:
        """See `Way`."""
        return _proxy(networks, self._password, self._port)

    def refusal(self, message: str, networks: Iterable[Network]) -> str | None:
        """See `Way`."""
        with suppress(OSError, EOFError), socket.create_connection(("127.0.0.1", self._port), CONNECT_TIMEOUT) as asked:
            name, password = _REFUSALS.encode(), self._password.encode()
            asked.sendall(b"\x05\x01\x02" + b"\x01" + bytes([len(name)]) + name + bytes([len(password)]) + password)
            _read(asked, 4)
            with asked.makefile("rb") as answer:
                return _named(parse_object(answer.read(), EOFError), message, networks)
        return None


class Relay:
    """A SOCKS 5 server on a port of 127.0.0.1, in threads that end with the process."""

    def __init__(self, password: str | None = None) -> None:
        self._password = password or secrets.token_hex(16)
        self._refusals: dict[str, str] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, name="cropline-relay", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def proxy(self, networks: Iterable[Network]) -> str:
        """See `Way`."""
        return _proxy(networks, self._password, self.port)

    def refusal(self, message: str, networks: Iterable[Network]) -> str | None:
        """See `Way`."""
        return _named(dict(self._refusals), message, networks)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), name="cropline-relay", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with ExitStack() as stack, suppress(OSError, EOFError, ValueError, struct.error):
            stack.enter_context(client)
            client.settimeout(CONNECT_TIMEOUT)
            name = self._greeted(client)
            if name == _REFUSALS:
                client.sendall(json.dumps(self._refusals).encode())
                return
            networks = {Network(part) for part in name.split(".")}
            host, port = _destination(client)
            reply, server = self._connected(host, port, networks)
            if server is not None:
                stack.enter_context(server)
            client.sendall(struct.pack(">BBBBIH", 5, reply, 0, _IPV4, 0, 0))
            if server is not None:
                _relay(client, server)

    def _greeted(self, client: socket.socket) -> str:
        """The user's name: the networks that are allowed. Raises `ValueError` at another password."""
        _, count = _read(client, 2)
        _read(client, count)
        client.sendall(b"\x05\x02")  # name and password, RFC 1929
        _, size = _read(client, 2)
        name = _read(client, size).decode("ascii")
        (size,) = _read(client, 1)
        right = secrets.compare_digest(_read(client, size), self._password.encode())
        client.sendall(b"\x01\x00" if right else b"\x01\x01")
        if not right:
            raise ValueError("another password")
        return name

    def _connected(self, host: str, port: int, networks: set[Network]) -> tuple[int, socket.socket | None]:
        try:
            addresses = allowed_addresses(host, port, networks)
        except RefusedAddressError as error:
            if len(self._refusals) >= _MOST_REFUSALS:
                self._refusals.clear()
            self._refusals[f"{_user(networks)} {host}"] = str(error)
            return _NOT_ALLOWED, None
        except OSError:
            return _UNREACHABLE, None
        reply = _UNREACHABLE
        for address in addresses:
            try:
                return _CONNECTED, socket.create_connection((address, port), CONNECT_TIMEOUT)
            except TimeoutError:
                reply = _TIMED_OUT
            except OSError:
                reply = _REFUSED
        return reply, None


def _proxy(networks: Iterable[Network], password: str, port: int) -> str:
    return f"socks5h://{_user(networks)}:{password}@127.0.0.1:{port}"


def _named(refusals: dict[str, str], message: str, networks: Iterable[Network]) -> str | None:
    user = _user(networks)
    return next(
        (text for key, text in refusals.items() if key.startswith(f"{user} ") and key[len(user) :] in message), None
    )


def _user(networks: Iterable[Network]) -> str:
    """The name of a user who may reach these networks."""
    return ".".join(sorted(networks))


def _read(client: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = client.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def _destination(client: socket.socket) -> tuple[str, int]:
    _, _, _, kind = _read(client, 4)
    if kind == _IPV4:
        host = socket.inet_ntop(socket.AF_INET, _read(client, 4))
    elif kind == _IPV6:
        host = socket.inet_ntop(socket.AF_INET6, _read(client, 16))
    else:
        (size,) = _read(client, 1)
        host = _read(client, size).decode("ascii")
    (port,) = struct.unpack(">H", _read(client, 2))
    return host, port


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Carry bytes both ways until either side ends."""
    other = {client: server, server: client}
    buffer = memoryview(bytearray(_BUFFER))
    with selectors.DefaultSelector() as selector:
        for end in other:
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(end, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                end = next(one for one in other if one is key.fileobj)
                count = end.recv_into(buffer)
                if not count:
                    return
                other[end].sendall(buffer[:count])


_lock = threading.Lock()
_relays: dict[int, RelayProcess] = {}


def the_relay() -> Way:
    """The relay of this process, begun when it is first asked for, and anew where it was killed."""
    with _lock:
        relay = _relays.get(os.getpid())
        if relay is None or not relay.runs:
            relay = _relays[os.getpid()] = RelayProcess()
        return relay


def has_own_proxy(scheme: str) -> bool:
    """True where the environment sends requests of a scheme through a proxy already: what that lets through is its own affair."""
    proxies = getproxies_environment()
    return bool(
        proxies.get(scheme) or proxies.get("all") or variable("GDAL_HTTP_PROXY") or variable("GDAL_HTTPS_PROXY")
    )


def forget_exceptions() -> None:
    """Take ``no_proxy`` out of this process's environment: it names hosts that GDAL would reach without the relay.

    Without a proxy of the environment's own, which is the case here, it means nothing to anybody else.
    """
    for name in ("no_proxy", "NO_PROXY"):
        os.environ.pop(name, None)


def _serve_parent() -> None:
    """Relay for the process at the other end of standard input, until that ends."""
    sys.stdout.write(f"{Relay(sys.stdin.readline().strip()).port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _serve_parent()
