"""From raw data to predictions of the held-out cases: planning once, then a training for each setting and fold."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.downstream.folds import Division, Setting, splits
from benchmarks.downstream.nnunet import PLAN, PREDICT, TRAIN, NnUNet
from benchmarks.downstream.raw_data import NAME, NUMBER, RawData
from datasets.whole_file import whole_file

Announce = Callable[[str], None]

PUBLISHED_EPOCHS, PUBLISHED_ITERATIONS = 1000, 250
"""The length of nnU-Net's own training."""

_PLANS = "nnUNetPlans"
_SPLITS = "splits_final.json"
_TRAINER_FILE = Path(__file__).with_name("short_trainer.py")


@dataclass(frozen=True)
class Short:
    """A training that is shorter than the published one.

    Attributes:
        epochs: the number of epochs.
        iterations: the number of iterations of an epoch.
    """

    epochs: int
    iterations: int


@dataclass(frozen=True)
class How:
    """How networks are trained.

    Attributes:
        configuration: ``3d_fullres``, ``2d`` or another one of nnU-Net's.
        short: a shorter training; None for nnU-Net's own.
        device: ``cpu`` or ``cuda``.
        processes: the number of processes that prepare and write data.
    """

    configuration: str
    short: Short | None
    device: str
    processes: int

    @property
    def trainer(self) -> str:
        """The name of the class that trains."""
        return "ShortTrainer" if self.short else "nnUNetTrainer"

    def facts(self) -> dict[str, Any]:
        """What results depend on."""
        facts: dict[str, Any] = {"configuration": self.configuration, "short": None}
        if self.short:
            trainer = hashlib.sha256(_TRAINER_FILE.read_bytes()).hexdigest()[:12]
            facts |= {"short": [self.short.epochs, self.short.iterations], "short_trainer": trainer}
        return facts


@dataclass(frozen=True)
class Workspace:
    """nnU-Net with the folders of one raw data set, in which nothing else lies.

    Attributes:
        nnunet: the tool.
        folder: the absolute path of the folder; its name tells the data, the version and the configuration.
        how: how networks are trained.
    """

    nnunet: NnUNet
    folder: Path
    how: How

    @property
    def raw(self) -> RawData:
        """The raw data."""
        return RawData(self.folder / "raw" / NAME)

    def plan(self, announce: Announce) -> None:
        """Plan and preprocess all volumes, real and synthetic, once: every setting has the same patches and spacing."""
        mark = self.folder / "planned.json"
        if _seconds(mark) is not None:
            return
        announce("nnU-Net plans and preprocesses all volumes")
        few = str(self.how.processes)
        arguments = ["-d", str(NUMBER), "-c", self.how.configuration, "--verify_dataset_integrity"]
        environment = self._environment(self._preprocessed, self.folder / "results", loaders=1)
        log = self.folder / "logs" / "plan.txt"
        _mark(mark, self.nnunet.call(PLAN, [*arguments, "-npfp", few, "-np", few], environment, log))

    def train(self, setting: Setting, fold: int, division: Division, announce: Announce) -> float:
        """Train one network, or go on where it was stopped; returns the seconds of the last call."""
        results = self._results(setting)
        mark = results / f"trained-{fold}.json"
        known = _seconds(mark)
        if known is not None:
            return known
        announce(f"{setting.label}, fold {fold}: nnU-Net trains")
        preprocessed = self._with_splits(setting, division)
        arguments = [str(NUMBER), self.how.configuration, str(fold), "-tr", self.how.trainer, "-p", _PLANS]
        environment = self._environment(preprocessed, results, loaders=0 if self.how.device == "cpu" else None)
        log = self.folder / "logs" / f"train-{setting.key}-{fold}.txt"
        seconds = self.nnunet.call(TRAIN, [*arguments, "-device", self.how.device, "--c"], environment, log)
        _mark(mark, seconds)
        return seconds

    def predict(self, setting: Setting, fold: int, announce: Announce) -> tuple[Path, float]:
        """Segment the held-out cases; returns the folder of the segmentations and the seconds."""
        target = self.folder / "predictions" / setting.key / f"fold_{fold}"
        mark = target.with_name(f"fold_{fold}.json")
        known = _seconds(mark)
        if known is not None:
            return target, known
        announce(f"{setting.label}, fold {fold}: nnU-Net segments the held-out cases")
        few = str(self.how.processes)
        arguments = ["-d", str(NUMBER), "-i", str(self.raw.test_images), "-o", str(target), "-f", str(fold)]
        arguments += ["-c", self.how.configuration, "-tr", self.how.trainer, "-p", _PLANS]
        environment = self._environment(self._preprocessed, self._results(setting), loaders=1)
        log = self.folder / "logs" / f"predict-{setting.key}-{fold}.txt"
        more = ["-device", self.how.device, "-npp", few, "-nps", few]
        seconds = self.nnunet.call(PREDICT, [*arguments, *more], environment, log)
        _mark(mark, seconds)
        return target, seconds

    @property
    def _preprocessed(self) -> Path:
        return self.folder / "preprocessed"

    def _results(self, setting: Setting) -> Path:
        return self.folder / "settings" / setting.key / "results"

    def _with_splits(self, setting: Setting, division: Division) -> Path:
        """The preprocessed data as links beside the splits of a setting, so that settings may train at one time."""
        root = self.folder / "settings" / setting.key / "preprocessed"
        folder = root / NAME
        folder.mkdir(parents=True, exist_ok=True)
        for each in (self._preprocessed / NAME).iterdir():
            link = folder / each.name
            if each.name != _SPLITS and not link.is_symlink():
                link.symlink_to(os.path.relpath(each, folder))
        with whole_file(folder / _SPLITS) as temporary:
            temporary.write_text(json.dumps(splits(division, setting), indent=1) + "\n", encoding="utf-8")
        return root

    def _environment(self, preprocessed: Path, results: Path, loaders: int | None) -> Mapping[str, str]:
        """nnU-Net's variables.

        Args:
            preprocessed, results: the folders of this step.
            loaders: the number of processes that load data, which planning and prediction need one of; 0 loads in the
                training itself; None leaves it to nnU-Net.
        """
        found = {
            "nnUNet_raw": str(self.raw.folder.parent),
            "nnUNet_preprocessed": str(preprocessed),
            "nnUNet_results": str(results),
            "nnUNet_def_n_proc": str(self.how.processes),  # of the validation that ends each training
        }
        if loaders is not None:
            found["nnUNet_n_proc_DA"] = str(loaders)
        if self.how.device == "cpu":
            found["nnUNet_compile"] = "f"  # compiling takes longer than it saves, and needs a compiler
        if self.how.short:
            found["nnUNet_extTrainer"] = str(self._trainer_folder())
            found["SHORT_TRAINER_EPOCHS"] = str(self.how.short.epochs)
            found["SHORT_TRAINER_ITERATIONS"] = str(self.how.short.iterations)
        return found

    def _trainer_folder(self) -> Path:
        """A folder with the short trainer alone: nnU-Net imports every file that it finds there."""
        folder = self.folder / "trainer"
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / _TRAINER_FILE.name) as temporary:
            shutil.copyfile(_TRAINER_FILE, temporary)
        return folder


def _seconds(mark: Path) -> float | None:
    """The seconds of a step that was done; None if it was not."""
    try:
        return float(json.loads(mark.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _mark(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"seconds": round(seconds, 3)}) + "\n", encoding="utf-8")
