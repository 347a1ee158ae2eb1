"""The command line. Prefect, torch and the raster libraries are imported by the command that needs them, not by `--help`."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from catalog.errors import CroplineError, StoreError
from catalog.guards.environment import variable
from catalog.storage.system_errors import is_refusal, refusal
from flows.commands.backup import backup, restore
from flows.commands.bench import bench
from flows.commands.cells import cells, export
from flows.commands.doctor import doctor
from flows.commands.evaluate import evaluate, sample
from flows.commands.extract import extract
from flows.commands.init import init
from flows.commands.interruption import held
from flows.commands.metrics import metrics
from flows.commands.models import models
from flows.commands.options import AsJson, Asked, RequestFile, tell
from flows.commands.processors import processors
from flows.commands.prune import prune
from flows.commands.services import down, status, up
from flows.commands.show import show
from flows.commands.simulate import simulate
from flows.commands.stopping import INTERRUPTED, STOPPED
from flows.commands.subscriptions import subscribe, subscriptions, unsubscribe

if TYPE_CHECKING:
    from flows.reporting.delivery import Delivery
    from flows.request import MapRequest
    from flows.settings import Settings


app = typer.Typer(
    name="cropline",
    help="From a request to a delivered crop map: Sentinel-2 time series, Prefect flows, AgrUNet.",
    epilog="Exit codes: 0 done; 1 an error whose message says what to do; 2 words that the command doesn't take; 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench, name="bench")
app.add_typer(models, name="models")
app.add_typer(processors, name="processors")
app.add_typer(simulate, name="simulate")


def main() -> NoReturn:
    """Run a command; an error that the user can act on is one message on standard error and exit code 1."""
    asked = Asked()
    try:
        app(obj=asked)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # `flows.commands.entry` says it in words
            _answer_failure(STOPPED, asked)
        raise
    except CroplineError as error:
        _fail(error, asked)
    except OSError as error:  # what no stage or command expected the system to refuse
        if not is_refusal(error):
            raise
        _refused(error, asked)
    gc.freeze()  # the interpreter would else go through everything that was imported, twice, before it ends
    sys.exit(0)


def _fail(error: CroplineError, asked: Asked) -> NoReturn:
    if (variable("CROPLINE_DEBUG") or "0") not in ("0", "false"):
        traceback.print_exception(error)
    sys.stderr.write(f"{error}\n")
    _answer_failure(str(error), asked)
    sys.exit(1)


def _answer_failure(text: str, asked: Asked) -> None:
    if asked.as_json:
        try:
            sys.stdout.write(f"{json.dumps({'error': text})}\n")
            sys.stdout.flush()
        except OSError:
            _silence_output()


def _silence_output() -> None:
    """Let what can't be written go: Python would write it again at the end, and fail."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(error: OSError, asked: Asked) -> NoReturn:
    if error.filename is None:  # it may be standard output
        _silence_output()
    where = "the output" if error.filename is None else str(error.filename)
    failure = StoreError(f"{where}: {refusal(error)}, and run again.")
    failure.__cause__ = error
    _fail(failure, asked)


def _settings() -> Settings:
    from flows.settings import load_settings

    return load_settings()


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"cropline {installed('cropline')}")
        raise typer.Exit


@app.command()
def run(
    file: RequestFile,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the delivery of another request that the output folder holds.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what it would read, cost and take; download nothing, make nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make one delivery in this process, with a Prefect of its own.

    Example: cropline run --dry-run aoi.json
    """
    if dry_run:
        _foresee(file, replace, as_json)
        return
    from flows.prefect_process.temporary_server import temporary_server

    with temporary_server() as server:  # it starts while the request is checked
        with held():
            from flows.commands.local import run_in_process

        settings = _settings()
        request = _checked(file, replace, settings)
        tell(f"store: {settings.open_store().root}")
        delivery = run_in_process(request, settings, server)
    _show(delivery, as_json)


def _checked(file: Path, replace: bool, settings: Settings) -> MapRequest:
    with held():
        from flows.checked_request import check_request
        from flows.request import read_parameters

    parameters = read_parameters(file) | ({"replace": True} if replace else {})
    return check_request(parameters, settings.folder, settings)


def _foresee(file: Path, replace: bool, as_json: bool) -> None:
    from rich.console import Console

    from flows.commands.dry_run import foresee_request, show

    settings = _settings()
    foreseen = foresee_request(_checked(file, replace, settings), settings)
    if as_json:
        typer.echo(foreseen.model_dump_json())
    else:
        show(foreseen, Console(width=None if sys.stdout.isatty() else 120))


@app.command()
def retrain(
    file: RequestFile,
    processes: Annotated[int, typer.Option(min=1, help="Processes that train together, through torchrun.")] = 1,
    promote: Annotated[
        Literal["evidence", "always"],  # as `flows.request.Promote`, whose module `--help` doesn't wait for
        typer.Option(
            help="When the model is put in use: on evidence, where it beats the one in use on the same held-out fields, or always."
        ),
    ] = "evidence",
    as_json: AsJson = False,
) -> None:
    """Train a model from the request's labels, add it to this installation, and put it in use where it beats the one in use.

    Example: cropline retrain train.json --processes 2
    """
    from flows.prefect_process.temporary_server import temporary_server

    with temporary_server() as server:  # it starts while the request is checked
        from flows.checked_request import check_request, with_area
        from flows.commands.local import train_in_process
        from flows.request import read_parameters

        settings = _settings()
        request = check_request(with_area(read_parameters(file)), settings.folder, settings, delivers=False)
        trained = train_in_process(request, processes, promote, settings, server)
    if as_json:
        typer.echo(
            json.dumps({"model": str(trained.model.folder), "decision": trained.decision.model_dump(mode="json")})
        )
        return
    typer.echo(f"model     {trained.model.folder}")
    typer.echo(f"{'in use' if trained.decision.promoted else 'not used'}    {trained.decision.reason}")
    if not trained.decision.promoted:
        tell(f"Name it in a request, or `cropline models promote {trained.model.name}` puts it in use.")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demonstration is made.")] = Path("demo"),
    as_json: AsJson = False,
) -> None:
    """Order a map from the simulated mission, and compare it with the land that was simulated.

    Example: cropline demo
    """
    from flows.prefect_process.temporary_server import temporary_server

    with temporary_server() as server:
        from flows.commands.demo import SOURCE, prepare_demo
        from flows.commands.local import run_in_process

        settings = _settings()
        request, demo_settings = prepare_demo(folder, settings)
        tell(
            f"Ordered from the simulated mission {SOURCE} into {folder}: "
            "synthetic fields, skies and products, nothing real."
        )
        delivery = run_in_process(request, demo_settings, server)
    _show(delivery, as_json)
    if not as_json:
        _score(Path(delivery.delivery), demo_settings, as_json)
        typer.echo("All of it is synthetic: the figures say that the path works, nothing about real crops.")


@app.command()
def score(
    delivery: Annotated[
        Path, typer.Argument(metavar="DELIVERY", help="Folder of a delivery made from a mission: source.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare a delivery of the simulated mission with what was simulated: cloud masks, NDVI, the map.

    Example: cropline score demo/delivery
    """
    _score(delivery, _settings(), as_json)


def _score(delivery: Path, settings: Settings, as_json: bool) -> None:
    from rich.console import Console

    from flows.commands.score import score as compare
    from flows.commands.score import show
    from flows.reporting.progress import terminal_step

    with terminal_step("score", "the truth") as step:
        scored = compare(delivery, settings, step.advance)
        step.outcome = "scored"
    if as_json:
        typer.echo(scored.scores.model_dump_json())
        return
    show(scored.scores, Console(width=None if sys.stdout.isatty() else 120))
    for name, path in zip(("scores", "picture"), scored.files, strict=True):
        typer.echo(f"{name:<10} {path}")


@app.command()
def passes(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A request, or any GeoJSON: a point will do.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days to look ahead.")] = 30,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="First day or time, UTC; now.")] = None,
    tle: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Two-line elements to take instead of the reference orbit.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say when Sentinel-2 sees an area, and when the products will be there.

    Example: cropline passes aoi.json --days 10
    """
    from rich.console import Console

    from flows.commands.passes import as_json as listed
    from flows.commands.passes import passes_ahead, show

    ahead = passes_ahead(file, days, start, tle)
    if as_json:
        typer.echo(listed(ahead))
    else:
        show(ahead, Console(width=None if sys.stdout.isatty() else 120))


@app.command()
def inspect(
    product: Annotated[
        str,
        typer.Argument(
            help="A .SAFE folder, a zip archive of one, a tile's folder of the AWS archive, or a STAC item; path, s3:// or URL."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what a reader makes of one product, and what is wrong with it; no pixel is read.

    Example: cropline inspect S2A_MSIL2A_20190417T105031_N0500_R051_T31UES_20221202T120000.SAFE
    """
    from rich.console import Console

    from flows.commands.inspect import inspect as look
    from flows.commands.inspect import print_inspection
    from flows.credentials import load_credentials
    from processors.engine.apart import call_apart

    inspection = call_apart(_settings().read_limits, look, product, load_credentials())
    if as_json:
        typer.echo(inspection.model_dump_json())
    else:
        print_inspection(inspection, Console())


for command in (
    up, down, status, metrics, doctor, subscribe, subscriptions, unsubscribe, show, sample, evaluate, extract, cells, export, prune,
    backup, restore,
):  # fmt: skip
    app.command()(command)
app.command(context_settings={"ignore_unknown_options": True})(init)  # a bbox may begin with a minus


def _show(delivery: Delivery, as_json: bool) -> None:
    if as_json:
        typer.echo(delivery.model_dump_json())
        return
    for name, path in delivery.shown():
        typer.echo(f"{name:<10} {path}")
    for score in delivery.scores:
        typer.echo(
            f"{score.split:<14} OA {score.figure('oa')}  mIoU {score.figure('miou')}  Dice {score.dice:.3f}  "
            f"over {score.n_pixels} pixels{'. ' + score.note if score.note else ''}"
        )
