"""The command line answers without torch, names its commands, and ends with a reason where it can't do what it is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agrunet.__main__ import main

COMMANDS = ("train", "cross-validate", "tune", "convert-munich")


def test_help_lists_the_commands_and_does_not_wait_for_torch() -> None:
    code = (
        "import sys, agrunet.__main__ as line\n"
        "try:\n    line.main(['--help'])\nfinally:\n    assert not {'torch', 'optuna', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_own_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"python -m agrunet {name}" in capsys.readouterr().out


def test_an_unknown_preset_is_refused_with_those_that_there_are(
    toy_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["train", "--data", str(toy_folder), "--output", str(tmp_path / "model"), "--preset", "slow"]) == 1
    assert "no preset 'slow'. Choose from quick, standard." in caplog.text
    assert not (tmp_path / "model").exists()


def test_a_training_ends_with_its_input_where_that_is_asked(toy_folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {"steps": 100_000, "max_steps": 100_000, "filters": [4, 8], "hidden": 4, "crop": 16, "device": "cpu"}
        )
    )
    command = ["-m", "agrunet", "train", "--data", str(toy_folder), "--output", str(tmp_path / "model")]
    command += ["--config", str(config), "--preset", "quick", "--end-with-input"]
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any(line.startswith("step ") for line in lines)
        process.stdin.close()
        assert process.wait(timeout=30) == 1
    assert not (tmp_path / "model").exists()
