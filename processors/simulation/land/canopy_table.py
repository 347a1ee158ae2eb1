"""Makes the table that `canopy` reads: a small network fitted to PROSAIL. Run as ``python -m processors.simulation.land.canopy_table``.

Needs the development packages `prosail` (PROSPECT-D and 4SAIL; Jacquemoud et al., 2009; Féret et al., 2017) and `scikit-learn`; takes
about ten minutes. The same seed gives the same samples; weights may differ in the last digits between machines.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.simulation.instrument.responses import RESPONSES, weights
from processors.simulation.land import canopy

Floats = npt.NDArray[np.float64]

SAMPLES = 100_000
HIDDEN = (96, 96)
ROUNDS = ((2e-3, 250), (7e-4, 200), (2e-4, 150), (5e-5, 80))
"""Learning rates and epochs."""
_SOIL = 0.2
"""Reflectance of the soil at which the ground's coupling is taken."""


def draw(count: int, random: np.random.Generator) -> Floats:
    """Random parameters (count, 11) in the order of `canopy.RANGES`: more thin and green canopies than thick and brown ones."""
    low, high = np.array(list(canopy.RANGES.values())).T
    share = random.uniform(size=(count, len(low)))
    names = list(canopy.RANGES)
    share[:, names.index("leaf_area")] **= 1.7
    share[:, names.index("brown")] **= 2
    for name in ("water", "dry_matter", "hotspot"):
        share[:, names.index(name)] **= 1.5
    drawn: Floats = low + share * (high - low)
    return drawn


def spectra(parameters: Floats) -> tuple[Floats, Floats, Floats]:
    """(N, W) each on 400 to 2500 nm, by PROSAIL itself: reflectance over black soil, over soil of 0.2, and of the canopy from below."""
    from prosail import run_prosail

    black = np.zeros(2101)
    grey = np.full(2101, _SOIL)
    results = []
    for area, chlorophyll, water, dry, angle, brown, hotspot, layers, sun, view, azimuth in parameters:
        carotenoids = canopy.carotenoids(chlorophyll)
        leaves = (layers, chlorophyll, carotenoids, brown, water, dry, area, angle, hotspot, sun, view, azimuth)
        terms = run_prosail(*leaves, typelidf=2, prospect_version="D", factor="ALLALL", rsoil0=grey)
        results.append((terms[9] + black, terms[17] + black, terms[3] + black))
    dark, over_grey, below = np.array(results).transpose(1, 0, 2)
    return dark, over_grey, below


def targets(parameters: Floats) -> Floats:
    """(N, satellites * 3 * 13): what the network learns; see `canopy.Emulator`."""
    dark, over_grey, below = spectra(parameters)
    cover = canopy.cover(parameters[:, :1])
    parts = []
    for satellite in canopy.FITTED:
        average = weights(satellite).T
        a, c = dark @ average, below @ average
        b = (over_grey @ average - a) * (1 - c * _SOIL) / _SOIL
        parts += [np.sqrt(a / cover), (1 - b) / cover, c / cover]
    learnt: Floats = np.concatenate(parts, axis=1)
    return learnt


def fit(inputs: npt.NDArray[np.float32], learnt: Floats, seed: int) -> list[tuple[Floats, Floats]]:
    """Weights and biases of each layer; the targets' scaling is folded into the last one."""
    from sklearn.neural_network import MLPRegressor

    mean, spread = learnt.mean(axis=0), learnt.std(axis=0)
    scaled = ((learnt - mean) / spread).astype(np.float32)
    network = MLPRegressor(
        hidden_layer_sizes=HIDDEN, activation="tanh", batch_size=500, alpha=0, tol=0, warm_start=True, random_state=seed
    )
    for rate, rounds in ROUNDS:
        network.set_params(learning_rate_init=rate, max_iter=rounds, n_iter_no_change=rounds + 1)
        network.fit(inputs, scaled)
    layers = list(zip(network.coefs_, network.intercepts_, strict=True))
    last, bias = layers[-1]
    return [*layers[:-1], (last * spread, bias * spread + mean)]


def main() -> None:
    random = np.random.default_rng(5)
    parameters = draw(SAMPLES, random)
    learnt = targets(parameters)
    layers = fit(canopy.features(parameters.astype(np.float32)), learnt, seed=0)
    arrays = {f"weight{i}": w for i, (w, _) in enumerate(layers)} | {f"bias{i}": b for i, (_, b) in enumerate(layers)}
    target = Path(canopy.__file__).with_name(canopy.TABLE)
    single: dict[str, Any] = {name: array.astype(np.float32) for name, array in arrays.items()}
    np.savez_compressed(target, **single)
    sys.stdout.write(f"{target}: {target.stat().st_size} bytes, satellites {', '.join(RESPONSES)}\n")


if __name__ == "__main__":
    main()
