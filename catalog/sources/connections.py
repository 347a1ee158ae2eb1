"""What went wrong on the way to a service, in words: urllib3's own name its classes and functions."""

from __future__ import annotations

from collections.abc import Iterator

from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)


def connection_words(error: BaseException) -> str | None:
    """What kept a request from being answered at all; None where an error comes from something else."""
    for cause in _causes(error):
        if isinstance(cause, MaxRetryError) and cause.reason is not None:
            host, port = cause.pool.host, cause.pool.port
            return _words(f"{host}:{port}" if port not in (None, 80, 443) else str(host), cause.reason)
    return None


def _words(host: str, reason: Exception) -> str | None:
    detail = " ".join(str(reason.args[-1] if reason.args else reason).split())
    match reason:
        case NameResolutionError():
            return f"the name {host} can't be resolved"
        case NewConnectionError():  # a timeout to urllib3
            return f"{host}: {getattr(reason.__cause__, 'strerror', None) or detail}"
        case ConnectTimeoutError() | ReadTimeoutError():
            return f"{host} doesn't answer in time"
        case SSLError():
            return f"no secure connection to {host}: {detail}"
        case ProxyError():
            return f"the proxy to {host} fails: {detail}"
        case ProtocolError():
            return f"{host} closes the connection without an answer"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it holds, and what it was raised from."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [held for held in cause.args if isinstance(held, BaseException)]
        waiting += [cause.__cause__, cause.__context__]
