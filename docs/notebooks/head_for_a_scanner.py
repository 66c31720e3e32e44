# %% [markdown]
# # A head for a scanner
#
# From phantoms to a ControlNet head for a scanner with 24 views over 120 degrees, with the smallest recipe and still fewer
# steps: all that a real training does, in less than a minute. **The image is not good; nothing was trained long enough.**
# The [how-to](../how-to/train.md) says what to change for real work.

# %%
import json
import shlex
from pathlib import Path

from click.testing import CliRunner

import benchmarks.cli
import recon.cli

PROGRAMS = {"recon": recon.cli.cli, "benchmarks": benchmarks.cli.main}
DATA = "--dataset phantom:count=6,size=16x32x32,spacing=8x10x10 --cache cache --recipe tiny --quiet --device cpu"


def run(command: str) -> str:
    """Run a command of the suite in this process (in a shell, call it as it stands), and return what it prints."""
    program, *words = shlex.split(command)
    done = CliRunner().invoke(PROGRAMS[program], words)
    return (done.stdout if done.exit_code == 0 else done.stderr).strip()


# %% [markdown]
# ## A prior: autoencoder and noise estimator
#
# The autoencoder turns volumes into latents and back; the noise estimator is trained on these latents.

# %%
print(run(f"recon train autoencoder {DATA} --out stage1 --set steps=10"))
print(run(f"recon train biflownet {DATA} --out prior --base stage1 --set steps=15"))

# %% [markdown]
# ## The scanner, and its head

# %%
geometry = """type: fan
source_isocentre_mm: 500
source_detector_mm: 1000
pitch_mm: 4
angles: {views: 24, arc_deg: 120}
"""
Path("my_scanner.yaml").write_text(geometry)
print(
    run(f"recon train controlnet {DATA} --out head --base prior --task svct --geometry my_scanner.yaml --set steps=10")
)

# %% [markdown]
# The losses are in a table beside the weights; the card inside the weights says what the head was trained for.

# %%
print(next(Path("head").glob("train-*.csv")).read_text())
print(run("recon weights card head/head.safetensors")[:600])

# %% [markdown]
# ## A new case

# %%
print(run("benchmarks data write phantom:count=1,seed=7,size=16x32x32,spacing=8x10x10 case"))
case = next(Path("case").glob("*/*.nii.gz"))
scan = f"--geometry my_scanner.yaml --input {case} --device cpu"
run(f"recon svct {scan} --weights head/head.safetensors --prior prior --output with-head --quiet --set steps=10")
run(f"recon svct {scan} --method tv --output with-tv --quiet")
for folder in ("with-head", "with-tv"):
    result = json.loads(Path(folder, "result.json").read_text())
    print(f"{result['method']:13} PSNR {result['metrics']['psnr']:.1f} dB")

# %% [markdown]
# The head refuses a scan that it was not made for, in one line:

# %%
print(run(f"recon svct --input {case} --views 24 --weights head/head.safetensors --prior prior --output other --quiet"))
