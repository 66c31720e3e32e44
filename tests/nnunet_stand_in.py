"""A stand-in for nnU-Net's three commands: it asks for what nnU-Net asks for, and learns a threshold.

Run as a command of one of the three names, in a Python without any package; imported, it installs itself.
A network that saw no real volume finds no tumour.
"""

import array
import gzip
import json
import os
import struct
import sys
from pathlib import Path

ENVIRONMENT = dict(os.environ)
COMMANDS = ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")


def install(folder: Path) -> Path:
    """Write the three commands into a folder; returns it."""
    folder.mkdir()
    for name in COMMANDS:
        file = folder / name
        file.write_text(f"#!{sys.executable} -IS\n" + Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
        file.chmod(0o755)
    return folder


def calls(log: Path) -> list[list[str]]:
    """The calls so far, each with its command's name first; none where there is no log."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def plan() -> None:
    raw, prepared = folder_of("nnUNet_raw"), folder_of("nnUNet_preprocessed")
    stated = json.loads((raw / "dataset.json").read_text())
    assert int(ENVIRONMENT["nnUNet_n_proc_DA"]) > 0, "planning needs a process that loads data"
    names = sorted(path.name[: -len("_0000.nii.gz")] for path in (raw / "imagesTr").iterdir())
    assert len(names) == stated["numTraining"]
    assert set(stated["labels"]) == {"background", "kidney", "tumour"}
    assert [path.name for path in sorted((raw / "labelsTr").iterdir())] == [f"{name}.nii.gz" for name in names]
    (prepared / "nnUNetPlans_3d_fullres").mkdir(parents=True)
    (prepared / "nnUNetPlans.json").write_text("{}")
    for name in names:
        (prepared / "nnUNetPlans_3d_fullres" / name).write_text(name)


def train() -> None:
    fold, trainer = int(sys.argv[3]), option("-tr")
    prepared = folder_of("nnUNet_preprocessed")
    assert (prepared / "nnUNetPlans.json").is_file()
    split = json.loads((prepared / "splits_final.json").read_text())[fold]
    for name in split["train"] + split["val"]:
        assert (prepared / "nnUNetPlans_3d_fullres" / name).read_text() == name
    if trainer == "ShortTrainer":
        (file,) = Path(ENVIRONMENT["nnUNet_extTrainer"]).iterdir()
        assert f"class {trainer}(nnUNetTrainer)" in file.read_text()
        assert int(ENVIRONMENT["SHORT_TRAINER_EPOCHS"]) * int(ENVIRONMENT["SHORT_TRAINER_ITERATIONS"]) > 0
    if option("-device") == "cpu":
        assert (ENVIRONMENT["nnUNet_compile"], ENVIRONMENT["nnUNet_n_proc_DA"]) == ("f", "0")
    network = network_folder(sys.argv[2], fold)
    network.mkdir(parents=True, exist_ok=True)
    (network / "checkpoint_final.pth").write_text(json.dumps(split))


def predict() -> None:
    assert int(ENVIRONMENT["nnUNet_n_proc_DA"]) > 0
    split = json.loads((network_folder(option("-c"), int(option("-f"))) / "checkpoint_final.pth").read_text())
    blind = not any(name.startswith("real") for name in split["train"])
    target = Path(option("-o"))
    target.mkdir(parents=True, exist_ok=True)
    for image in Path(option("-i")).iterdir():
        segment(image, target / image.name.replace("_0000.nii.gz", ".nii.gz"), 0 if blind else 2)


def segment(image: Path, target: Path, tumour: int) -> None:
    """Kidneys are above 60 HU, tumours above 150, in an int16 image whose voxels follow its header."""
    content = gzip.decompress(image.read_bytes())
    assert struct.unpack_from("<h", content, 70) == (4,), "int16"
    voxels = array.array("h", content[352:])
    found = bytes(tumour if value > 150 else 1 if value > 60 else 0 for value in voxels)
    header = bytearray(content[:352])
    struct.pack_into("<hh", header, 70, 2, 8)  # uint8
    target.write_bytes(gzip.compress(bytes(header) + found))


def folder_of(variable: str) -> Path:
    return Path(ENVIRONMENT[variable]) / "Dataset912_Fig12"


def network_folder(configuration: str, fold: int) -> Path:
    return folder_of("nnUNet_results") / f"{option('-tr')}__{option('-p')}__{configuration}" / f"fold_{fold}"


def option(flag: str) -> str:
    return sys.argv[sys.argv.index(flag) + 1]


def main() -> None:
    name, log = Path(sys.argv[0]).name, Path(ENVIRONMENT["STAND_IN_LOG"])
    with log.open("a") as stream:
        stream.write(json.dumps([name, *sys.argv[1:]]) + "\n")
    if len(log.read_text().splitlines()) == int(ENVIRONMENT.get("STAND_IN_FAILS_AT", "0")):
        print("Traceback (most recent call last):\nRuntimeError: out of memory", file=sys.stderr)
        sys.exit(1)
    {COMMANDS[0]: plan, COMMANDS[1]: train, COMMANDS[2]: predict}[name]()


if __name__ == "__main__":
    main()
