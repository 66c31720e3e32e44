# %% [markdown]
# # A method of your own, compared fairly
#
# A method lives in any installed package, which names it as an entry point. This notebook makes such a package in a folder,
# and puts its method into a table beside others: same data, same voxels, same metrics, and it never sees the ground truth.

# %%
import importlib
import sys
from pathlib import Path

# %% [markdown]
# ## The package
#
# `pip install` writes the two folders below; here they are written by hand, so that nothing is installed. The method is
# Landweber's iteration with non-negativity.

# %%
package, facts = Path("plugins/recon_landweber"), Path("plugins/recon_landweber-1.0.dist-info")
for folder in (package, facts):
    folder.mkdir(parents=True)
(package / "__init__.py").write_text('''
import torch
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Reconstruction


class LandweberOptions(Options):
    """Options of the method."""

    iterations: int = setting(100, "number of iterations", ge=1)


def run(measurement, options, context):
    """x <- max(0, x + A^H (y - A x) / |A|^2)"""
    a, y = measurement.operator, measurement.y
    x = torch.zeros(a.domain, dtype=y.dtype, device=y.device)
    step = 1 / a.norm_bound**2
    for k in range(options.iterations):
        x = (x + step * a.adjoint(y - a(x))).clamp(min=0)
        context.report("iterations", k + 1, options.iterations)
    return Reconstruction(x)


METHOD = Method("Landweber iterations with non-negativity", "Landweber 1951, Am J Math 73:615", LandweberOptions, run)
''')
(facts / "METADATA").write_text("Metadata-Version: 2.1\nName: recon-landweber\nVersion: 1.0\n")
(facts / "entry_points.txt").write_text("[recon.methods]\nct_landweber = recon_landweber:METHOD\n")
sys.path.insert(0, str(Path("plugins").absolute()))
importlib.invalidate_caches()

# %%
from recon.methods import get_method, method_names
from recon.methods.plugins import plugins

plugins.cache_clear()  # a new process would find it by itself
print("landweber" in method_names("CT"), "|", get_method("CT", "landweber").summary)

# %% [markdown]
# ## One scan

# %%
import recon
from datasets.sets.phantom import PhantomSet, voxels

phantom = PhantomSet(count=1, seed=4, size=(8, 32, 32), spacing=(5.0, 10.0, 10.0)).cases()[0]
values, affine = voxels(phantom)
volume = recon.as_volume(values, "CT", affine=affine)
scan = recon.measure_ct(volume, "paper40")
outcome = recon.reconstruct(scan.measurement, scan.grid, "landweber", truth=scan.truth)
outcome

# %% [markdown]
# ## A table
#
# Two ways of measuring, three methods, two phantoms. The scans are of continuous objects; the last row is made by the
# operator that reconstructs, and its name says so.

# %%
table = """
title: My method beside others
modality: CT
operators:
  - {name: 40 views, geometry: paper40}
  - {name: '40 views, 1e5 photons', geometry: paper40, photons: 100000}
  - {name: '40 views (inverse crime)', geometry: paper40, simulate: ideal}
methods:
  - {method: fbp, label: FBP}
  - {method: sirt, label: SIRT, settings: {iterations: '100'}}
  - {method: landweber, label: Landweber}
"""
_ = Path("mine.yaml").write_text(table)

# %%
from click.testing import CliRunner

from benchmarks.cli import main as benchmarks

words = "run mine.yaml --dataset phantom:count=4,seed=4,size=8x32x32,spacing=5x10x10 --split train --cases 2 --jobs 1"
done = CliRunner().invoke(benchmarks, words.split())
print(done.output)

# %% [markdown]
# Differences are paired by case, since cases differ by more than methods do:

# %%
print(CliRunner().invoke(benchmarks, ["compare", "landweber", "sirt", "--table", "mine"]).output)
