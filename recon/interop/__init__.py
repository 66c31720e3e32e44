"""Volumes and operators of other libraries as ours, and ours as theirs.

Arrays go out by themselves: ``numpy.asarray(volume)``, ``volume.data`` for torch. :func:`as_volume` takes arrays of
NumPy and torch, images of SimpleITK and nibabel, and arrays of xarray, by what they can be asked, not by their class.
"""

from recon.interop.deepinv import as_deepinv, from_deepinv
from recon.interop.volumes import as_simpleitk, as_volume, as_xarray

__all__ = ["as_deepinv", "as_simpleitk", "as_volume", "as_xarray", "from_deepinv"]
