"""Plugin with what `prefect` commands need of this project: loaded by Prefect itself, before it reads its command line.

Prefect takes JSON text after ``--params`` and fails on a file's name. For ``prefect deployment run`` this plugin puts the
file's content in its place, makes its paths absolute, and checks what the server can't. And any ``prefect`` command
finds the server that `cropline up` started, and its secret, while that server answers and no other address is set.

Prefect imports this module whenever it is imported itself with ``[plugins] enabled = true``, so nothing heavy is imported
here, and nothing is done in other processes.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from prefect.plugins import SetupResult, register_hook

from flows.own_server import REQUEST, RETRAIN, SECRET_FILE, own_secret, own_server, store_folder

if TYPE_CHECKING:
    from prefect.plugins import HookContext

EVALUATE = "evaluate/map"
"""Deployment whose parameters name files."""

MOST_BYTES = 524_288
"""Bytes of a run's parameters that Prefect takes (its setting PREFECT_SERVER_API_MAX_PARAMETER_SIZE)."""

HEALTH_TIMEOUT = 60.0
"""Seconds for which a server may be busy. Where none is, the connection is refused at once."""

DEPLOYMENTS = (REQUEST, RETRAIN, "reprocess/seasonal", EVALUATE)
"""All that `cropline up` makes."""


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """Prepare the environment; Prefect calls this at import. Ends the process with one message where the request is wrong."""
    if not is_prefect_command(sys.argv, sys.orig_argv):
        return None
    if sys.argv[1:3] == ["deployment", "run"]:
        from catalog.errors import CroplineError

        try:
            sys.argv[:] = expand(sys.argv, Path.cwd())
        except CroplineError as error:
            _refuse(str(error))
    if sys.argv[1:2] == ["server"]:
        return None
    if ctx.api_url is not None:  # an address that is set is the user's; ours may be set, too
        return _access() if ctx.api_url.rstrip("/") == own_server() else None
    address = running_server()
    if sys.argv[1:3] == ["deployment", "run"] and any(_is_of(word, DEPLOYMENTS) for word in sys.argv[3:]):
        _check_services(address)
    if address is None:
        return None
    return SetupResult(env={"PREFECT_API_URL": address, **_access().env})


def _access() -> SetupResult:
    """What a command needs that asks this store's server."""
    secret = own_secret()
    if secret is None and (store_folder() / "prefect" / SECRET_FILE).exists():
        sys.stderr.write(
            f"The secret of this store's server can't be read: {store_folder() / 'prefect' / SECRET_FILE}\n"
        )
    return SetupResult(env={"PREFECT_API_AUTH_STRING": secret} if secret else {})


def _check_services(address: str | None) -> None:
    """End the process where no server runs: Prefect would start an empty one of its own. Warn where no worker does."""
    from catalog.storage.store import open_store
    from flows.prefect_process.processes import services_of

    store = open_store(str(store_folder()), create=False)
    if address is None:
        _refuse(f"no Prefect server runs for the store {store.root}. Start it with `cropline up`.")
    if not services_of(store, "worker"):
        sys.stderr.write("No worker of this store runs: the run waits until `cropline up` starts one.\n")


def is_prefect_command(argv: list[str], original: list[str]) -> bool:
    """Return whether this is ``prefect …`` or ``python -m prefect …``; the name is still ``-m`` while Python looks the module up."""
    if argv and argv[0] == "-m":
        return "prefect" in original[: original.index("-m") + 2] if "-m" in original else False
    name = Path(argv[0]) if argv else Path()
    return name.stem == "prefect" or name.parts[-2:] == ("prefect", "__main__.py")


def expand(argv: list[str], base: Path) -> list[str]:
    """The command line with a file's name after ``--params`` replaced by its JSON, checked where it is a request.

    ``base`` is where relative paths start from. JSON text and standard input (``-``) are checked alike. Raises `RequestError`.
    """
    position = next((index for index, word in enumerate(argv) if word.partition("=")[0] == "--params"), None)
    if position is None:
        return argv
    option, joined, value = argv[position].partition("=")
    after = position + 1
    if not joined:
        if after >= len(argv):
            return argv  # Prefect says that the value is missing
        value, after = argv[after], after + 1

    from catalog.errors import RequestError
    from flows.request import parse_parameters, read_parameters  # not at import: other commands don't need them

    if value == "-":
        parameters = parse_parameters(sys.stdin.read(), "standard input")
    elif value.lstrip().startswith("{"):
        parameters = parse_parameters(value, "the text after --params")
    else:
        parameters = read_parameters(base / value)
    deployment = next((name for word in argv[3:] for name in (REQUEST, RETRAIN) if _is_of(word, (name,))), None)
    if deployment is not None and not _overridden(argv):
        parameters = _checked(parameters, base, deployment)
    if EVALUATE in argv[3:]:
        parameters = _with_absolute_files(parameters, base)
    text = json.dumps(parameters)
    if len(text) > MOST_BYTES:
        raise RequestError(
            f"--params: {len(text):,} bytes, and Prefect takes {MOST_BYTES:,}. Give the area as the path of a file: "
            '"area": "boundary.geojson".'
        )
    return [*argv[:position], option, text, *argv[after:]]


def _is_of(word: str, deployments: tuple[str, ...]) -> bool:
    """Return whether a word names one of these deployments, or that of another place, which has the place's name behind it."""
    return any(word == name or word.startswith(f"{name}-") for name in deployments)


def _overridden(argv: list[str]) -> bool:
    """Return whether single ``--param key=value`` follow: the request isn't complete yet, so the flow checks it in its first second."""
    return any(word.partition("=")[0] in ("--param", "-p") for word in argv)


def _checked(parameters: dict[str, object], base: Path, deployment: str) -> dict[str, object]:
    from flows.checked_request import check_request
    from flows.request import RUN_PARAMETERS, TRAINING_PARAMETERS

    if deployment == REQUEST:
        of_run = {name: value for name, value in parameters.items() if name in RUN_PARAMETERS}
        asked = {name: value for name, value in parameters.items() if name not in RUN_PARAMETERS}
        return {**check_request(asked, base, routes=True).model_dump(mode="json"), **of_run}
    # What is no part of a request, such as the number of processes, is for Prefect to judge.
    shared = {name: value for name, value in parameters.items() if name in TRAINING_PARAMETERS}
    checked = check_request(shared, base, routes=True).model_dump(mode="json", include=set(TRAINING_PARAMETERS))
    return {**parameters, **checked}


def _with_absolute_files(parameters: dict[str, object], base: Path) -> dict[str, object]:
    """The parameters of an evaluation with its files where the command runs. Raises `RequestError` of a reference that isn't there."""
    from catalog.errors import RequestError
    from catalog.guards.paths import user_path

    def refuse(why: str) -> RequestError:
        return RequestError(f"evaluation: {why}. Give the path of a file.")

    placed = dict(parameters)
    for name in ("delivery", "reference", "legend"):
        written = parameters.get(name)
        if not isinstance(written, str):
            continue
        path = user_path(written, refuse, base=base)
        if path.exists():
            placed[name] = str(path)
        elif name != "delivery":  # which may be the name of a map
            raise RequestError(f"{name}: no file {path}. Check the path; it resolves from where the command runs.")
    return placed


def running_server() -> str | None:
    """The API address of the server that `cropline up` started for this store, if it answers."""
    address = own_server()
    if address is None:
        return None
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=HEALTH_TIMEOUT) as answer:  # noqa: S310 - written by `cropline up`
            return address if answer.status == 200 else None
    except (OSError, ValueError):
        return None


def _refuse(message: str) -> NoReturn:
    sys.stderr.write("".join(f"{line}\n" for line in message.splitlines()))
    raise SystemExit(1)
