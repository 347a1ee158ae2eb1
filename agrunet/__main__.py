"""The one command line: `python -m agrunet {train,map-fields,hull,cross-validate,tune,convert-munich}`, or under `torchrun`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from agrunet import commands
from agrunet.errors import AgrunetError

_LOG = logging.getLogger("agrunet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 where it was done, 1 with one line of reason where it was not, 130 after an interrupt."""
    options = vars(_parser().parse_args(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run = options.pop("run")
    try:
        run(**options)
    except AgrunetError as error:
        _LOG.error("%s", error)
        return 1
    except KeyboardInterrupt:
        _LOG.error("Stopped.")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agrunet", description="AgrUNet and its rivals on a data set.")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, help=text, description=text)

    train = command("train", "train AgrUNet, a pixel network or a forest on a data set and write a checkpoint")
    _add_data(train, "folder of the checkpoint to write")
    train.add_argument(
        "--config", type=Path, help="JSON of the training's settings; what it leaves out is the preset's"
    )
    train.add_argument("--preset", default="standard", help="settings to start from: standard, or quick for a try")
    train.add_argument(
        "--kind",
        default="agrunet",
        help="agrunet, fine-tuned, pixel, forest or forest-replay (of series one of the last three), or auto: the best",
    )
    train.add_argument("--start-from", type=Path, metavar="CHECKPOINT", help="model that a fine-tuned one goes on from")
    train.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="simulated series that a forest-replay learns from beside the labels",
    )
    train.add_argument(
        "--months", type=int, nargs=2, metavar=("FIRST", "LAST"), help="only dates of these, such as 1 7"
    )
    _add_end(train)
    train.set_defaults(run=commands.train)

    mapping = command("map-fields", "map the held-out fields of a data set by a checkpoint, to compare it with another")
    mapping.add_argument(
        "--data", required=True, help="a folder of training patches with fields, or series:FILE.parquet"
    )
    mapping.add_argument("--model", type=Path, required=True, help="folder of the checkpoint")
    mapping.add_argument("--output", type=Path, required=True, help="JSON file to write")
    _add_end(mapping)
    mapping.set_defaults(run=commands.map_fields)

    hull = command(
        "hull", "fit the hull of what a checkpoint learnt from to its data set, and write it into the checkpoint"
    )
    hull.add_argument("--data", required=True, help="what it was trained from, or a part of it")
    hull.add_argument("--model", type=Path, required=True, help="folder of the checkpoint")
    hull.set_defaults(run=commands.hull)

    validate = command("cross-validate", "train and test a model per fold")
    _add_data(validate, "folder of models, states, curves and summary")
    _add_recipe(validate)
    validate.add_argument("--folds", type=int, nargs="+", help="test folds; all by default")
    validate.set_defaults(run=commands.cross_validate)

    tune = command("tune", "search a recipe's settings with Optuna")
    _add_data(tune, "folder of the search's study and of its best recipe")
    _add_recipe(tune)
    tune.add_argument("--trials", type=int, default=20)
    tune.add_argument("--test-fold", type=int, default=1, help="the fold that is not looked at")
    tune.set_defaults(run=commands.tune)

    munich = command("convert-munich", "convert Munich (MTLCC) into a folder of training patches")
    munich.add_argument("source", type=Path, help="folder that holds 480/ or 240/")
    munich.add_argument("output", type=Path, help="folder of patches to write, or one to go on with")
    munich.add_argument("--size", type=int, choices=(48, 24), default=48, help="edge of the tiles, pixels")
    munich.add_argument(
        "--months", type=int, nargs=2, metavar=("FIRST", "LAST"), help="only dates of these, such as 1 7"
    )
    munich.add_argument("--years", nargs="+", default=["16", "17"], help="16, 17 or both")
    munich.add_argument("--bands", nargs="+", help="names, or `all` for the 13; the talk's 7 by default")
    munich.add_argument(
        "--unknown", choices=("background", "ignore"), default="background", help="what label 0 becomes"
    )
    munich.add_argument("--folds", type=int, default=5, help="to deal the tiles into")
    munich.set_defaults(run=commands.convert_munich)
    return parser


def _add_data(parser: argparse.ArgumentParser, output: str) -> None:
    parser.add_argument(
        "--data", required=True, help="pastis:FOLDER, series:FILE.parquet, or a folder of training patches"
    )
    parser.add_argument("--output", type=Path, required=True, help=output)


def _add_end(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--end-with-input",
        action="store_true",
        help="end when standard input ends: for programs, whose trainings then end with them, however that is",
    )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", default="orthopastis", help="orthopastis, munich, or a JSON file")
    parser.add_argument(
        "--set", action="append", default=[], dest="changes", metavar="NAME=VALUE", help="change one setting"
    )


if __name__ == "__main__":
    sys.exit(main())
