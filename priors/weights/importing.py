"""Take weights into the user's store: released checkpoints are converted, files of this suite copied."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from priors.networks.registry import KINDS
from priors.weights.card import Card, save_weights
from priors.weights.networks import verify
from priors.weights.official import Checkpoint, training_steps
from priors.weights.official_baselines import MATLAB, Baseline, baseline_of, is_baseline, load_baseline
from priors.weights.official_maisi import base_of, is_maisi, maisi_of
from priors.weights.official_medicaldiffusion_medsyn import factorised_of, is_factorised
from priors.weights.official_wdm_hagan import is_wdm_or_hagan, wdm_or_hagan_of
from priors.weights.restricted import read_pickled
from priors.weights.store import HEADS, SUFFIX, prior_folder, user_folder

REPOSITORY = "MMorss/3D-MedDiffusion"
"""Where the official files are published on Hugging Face."""


class Released(NamedTuple):
    """An official file's place: the prior that it belongs to, the kind of network, and the SHA-256 where it is known.

    Without a known hash, a file is compared with the first one that was imported under its name.
    """

    prior: str
    kind: str
    sha256: str = ""


RELEASED = {
    "PatchVolume_8x_s2.ckpt": Released("official-8x", "autoencoder"),
    "BiFlowNet_0453500.pt": Released("official-8x", "biflownet"),
    "PatchVolume_4x_s2.ckpt": Released("official-4x", "autoencoder"),
    "BiFlowNet_4x.pt": Released("official-4x", "biflownet"),
}
"""The files of the official 3D MedDiffusion release by name."""

BASELINES = {
    "AAPM256_1M.pt": Released("dds-ct", "adm"),
    "fastmri_knee_320_complex_1m.pt": Released("dds-mri", "adm"),
    "model512_all.pt": Released("dolce-all", "dolce"),
    "model512_ckc.pt": Released("dolce-ckc", "dolce"),
    "model512_coe.pt": Released("dolce-coe", "dolce"),
    "knee_sc_leaderboard_state_dict.pt": Released("fastmri-unet-knee", "unet"),
    "net-epoch-151.mat": Released("fbpconvnet", "fbpconv"),
}
"""The released files of the methods to compare with, by name."""

GENERATORS = {
    "autoencoder_v1.pt": Released("maisi-ddpm-ct", "maisi-autoencoder"),
    "diff_unet_3d_ddpm-ct.pt": Released("maisi-ddpm-ct", "maisi"),
    "controlnet_3d_ddpm-ct.pt": Released("maisi-ddpm-ct", "maisi-controlnet"),
    "diff_unet_3d_rflow-ct.pt": Released("maisi-rflow-ct", "maisi"),
    "controlnet_3d_rflow-ct.pt": Released("maisi-rflow-ct", "maisi-controlnet"),
    "autoencoder_v2.pt": Released("maisi-rflow-mr", "maisi-autoencoder"),
    "diff_unet_3d_rflow-mr.pt": Released("maisi-rflow-mr", "maisi"),
}
"""The released files of other generators, by name."""

ORIGINALS = "originals.json"
"""In the user's folder: sha256 of each official file when it was first imported."""

FILES = {kind: f"{kind}{SUFFIX}" for kind, facts in KINDS.items() if facts.place == "prior"}
"""File of each kind of network in a prior's folder."""


def import_file(
    path: Path | str,
    prior: str | None = None,
    *,
    overwrite: bool = False,
    settings: Mapping[str, int] | None = None,
) -> dict[Path, Card]:
    """Add a file to a prior of the user's.

    Args:
        path: an official checkpoint, a released file of a method to compare with (see
            :func:`priors.weights.official_baselines.load_baseline`), or a weights file of this suite.
        prior: its name; None is known for the official files by their names.
        overwrite: replace what is there, and what is remembered of an official file.
        settings: the sizes that the checkpoint does not state, see :func:`priors.weights.official.load_biflownet` and
            :func:`priors.weights.official_wdm_hagan.wdm_or_hagan_of`.

    Returns:
        The files written, with their cards.

    Raises:
        ValueError: the file is missing, damaged, or of no use here; it is not the official file that was imported
            first under its name; ``prior`` is needed; something is there already.
        OSError: nothing can be written there.
    """
    path = Path(path)
    folder = prior_folder(_prior_of(path, prior))
    if path.suffix == SUFFIX:
        card = verify(path)
        target = folder / (FILES.get(card.kind) or f"{HEADS}/{path.name}")
        _check_free([target], overwrite)
        _copy(path, target)
        return {target: card}
    released = _read(path, settings)
    sha256 = file_sha256(path)
    _check_original(path, sha256, overwrite)
    networks = _networks(released, settings)
    targets = {kind: folder / (FILES.get(kind) or f"{HEADS}/{kind}{SUFFIX}") for kind in networks}
    _check_free(list(targets.values()), overwrite)
    written = {}
    for kind, network in networks.items():
        card = _card(released, path, kind, network, sha256)
        if kind == "maisi-controlnet":
            card = replace(card, extra=card.extra | base_of(card.config, folder / FILES["maisi"]))
        written[targets[kind]] = save_weights(targets[kind], network.state_dict(), card)
    _remember(path.name, sha256)
    return written


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def originals() -> dict[str, str]:
    """sha256 of each official file when it was first imported, by name; ValueError if the record is damaged."""
    path = user_folder() / ORIGINALS
    if not path.exists():
        return {}
    try:
        return {name: str(sha256) for name, sha256 in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: damaged; delete it, which forgets what was imported first") from error


def _check_original(path: Path, sha256: str, overwrite: bool) -> None:
    """Refuse an official file that is not the one imported first under its name, unless it is to replace that one."""
    known = originals().get(path.name)
    if known not in (None, sha256) and not overwrite:
        raise ValueError(
            f"{path}: not the file that was first imported as {path.name}: its sha256 is {sha256}, that was {known}; "
            "give another `prior` and file name, or `overwrite` if this is the right one"
        )


def _prior_of(path: Path, prior: str | None) -> str:
    if prior is not None:
        return prior
    known = RELEASED | BASELINES | GENERATORS
    if path.name not in known:
        raise ValueError(f"{path}: none of the official files ({', '.join(known)}); name its prior with `prior`")
    return known[path.name].prior


def _read(path: Path, settings: Mapping[str, int] | None) -> Checkpoint | Baseline:
    if path.suffix == MATLAB:
        return load_baseline(path)
    content = read_pickled(path)
    if is_factorised(content):
        return factorised_of(path, content)
    if is_wdm_or_hagan(content):
        return wdm_or_hagan_of(path, content, settings)
    if is_maisi(content):
        return maisi_of(path, content)
    return baseline_of(path, content) if is_baseline(content) else Checkpoint.of(path, content)


def _networks(released: Checkpoint | Baseline, settings: Mapping[str, int] | None) -> dict[str, nn.Module]:
    if isinstance(released, Baseline):
        return {released.kind: released.network, **released.others}
    checkpoint = released
    if checkpoint.kind == "biflownet":
        return {"biflownet": checkpoint.biflownet(settings=settings)}
    networks: dict[str, nn.Module] = {"autoencoder": checkpoint.autoencoder()}
    perceptual = checkpoint.perceptual()
    return networks if perceptual is None else networks | {"lpips": perceptual}


def _card(released: Checkpoint | Baseline, path: Path, kind: str, network: nn.Module, sha256: str) -> Card:
    name = path.name
    extra: dict[str, Any] = {"original_file": name, "original_sha256": sha256}
    config: Any = getattr(network, "config", None)
    values = config.to_dict() if config is not None else {}
    if isinstance(released, Baseline):
        if name in BASELINES or name in GENERATORS:
            return Card(kind, values, f"{released.source}, {name}", released.licence, extra | released.extra)
        source = f"imported from {name}, in the layout of {released.source}"
        return Card(kind, values, source, "not known", extra | released.extra)
    if kind == "biflownet":
        extra |= {"weights": "ema"} | _training(released)
    official = name in RELEASED
    return Card(
        kind=kind,
        config=values,
        source=f"official 3D MedDiffusion release, {name} ({REPOSITORY})" if official else f"imported from {name}",
        licence="not stated by the authors" if official else "not known",
        extra=extra,
    )


def _training(checkpoint: Checkpoint) -> dict[str, Any]:
    """What is known of the training, and belongs to sampling."""
    arguments = checkpoint.arguments()
    stated = {"timesteps": arguments.get("timesteps"), "loss": arguments.get("loss_type")}
    known = {key: value for key, value in stated.items() if type(value) in (int, str)}
    steps = training_steps(checkpoint.path.name)
    return known if steps is None else known | {"training_steps": steps}


def _check_free(targets: list[Path], overwrite: bool) -> None:
    for target in targets:
        if target.exists() and not overwrite:
            raise ValueError(f"{target}: exists already; `overwrite` replaces it, `prior` gives another name")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    try:
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _remember(name: str, sha256: str) -> None:
    if name not in RELEASED | BASELINES | GENERATORS:
        return
    path = user_folder() / ORIGINALS
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        temporary.write_text(json.dumps(originals() | {name: sha256}, indent=2) + "\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
