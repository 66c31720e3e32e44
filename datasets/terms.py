"""How to get each data set, and under which terms."""

from __future__ import annotations

from collections.abc import Mapping

from datasets import check_name

TERMS: Mapping[str, str] = {
    "kits19": """\
KiTS19: contrast-enhanced abdominal CT of 210 patients before kidney surgery, with segmentations; tens of GB.

Get it
  git clone https://github.com/neheller/kits19
  cd kits19 && pip install -r requirements.txt && python -m starter_code.get_imaging
Layout
  kits19/data/case_00000/imaging.nii.gz, segmentation.nii.gz … case_00209; give kits19/data (or kits19).
Terms
  CC BY-NC-SA 4.0: not for commercial use, what is derived from it is shared alike, and it is cited:
  N. Heller et al., "The KiTS19 challenge data", arXiv:1904.00445, and "The state of the art in kidney and kidney
  tumor segmentation in contrast-enhanced CT imaging", Medical Image Analysis 67 (2021).
  Take weights trained on it to be under the same terms unless you know better.
Splits
  By a hash of the case's name: about 70 % train, 10 % val, 20 % test; the same everywhere. The 3D MedDiffusion paper
  names none for reconstruction.
Check
  benchmarks data check kits19 kits19/data
""",
    "fastmri-knee": """\
fastMRI knee, single-coil: raw k-space of 973 + 199 volumes with references, and 108 test volumes without; about 90 GB.

Get it
  Apply at https://fastmri.med.nyu.edu; NYU Langone sends links to knee_singlecoil_train, _val and _test. Unpack them
  side by side.
Layout
  singlecoil_train/*.h5, singlecoil_val/*.h5, singlecoil_test/*.h5 (or singlecoil_test_v2); give the folder above.
Terms
  NYU's data sharing agreement, accepted by each person who applies: internal research or education, no
  redistribution, no attempt to identify anyone, and the acknowledgement and citations it asks for:
  F. Knoll et al., Radiology: Artificial Intelligence 2(1) e190007 (2020); J. Zbontar et al., arXiv:1811.08839.
  Read the agreement you accept: it decides, not this text.
Splits
  The official folders. PD (CORPD_FBK) and PDFS (CORPDFS_FBK) are reported separately.
Check
  benchmarks data check fastmri-knee DIR
""",
    "folder": """\
folder: your own CT or MR volumes, NIfTI (.nii, .nii.gz) and DICOM series, in any folders below one.

Layout
  Every NIfTI file is a case, and so is every CT or MR series of a folder of DICOM files. Label maps do not belong here.
Modality
  --modality CT or MR; DICOM says it itself. One folder holds one modality.
Subjects
  A NIfTI file's subject is its name without .nii.gz, a DICOM series' its PatientID. Where a person has several
  files, --subject REGEX finds the subject in the relative path, as in --subject '(sub-[0-9]+)'.
Splits
  1. --splits FILE, or splits.json in the folder: {"train": [...], "val": [...], "test": [...]}, each a list of
     relative paths or of subjects; what is not listed is left out.
  2. Else by the first folder, where there are folders named train, val or test; what lies elsewhere is left out.
  3. Else by a hash of the subject: about 70 % train, 10 % val, 20 % test.
  A subject in two splits is an error.
Terms
  Yours to know.
Check
  benchmarks data check folder DIR --modality CT
""",
    "sample": """\
sample: the CT and the MR case that ship with this package. Nothing to get.

Terms
  CT: LIDC-IDRI-0001, The Cancer Imaging Archive, CC BY 3.0. MR: the ICBM152 2009a template, (C) McConnell Brain
  Imaging Centre, free to use with its notice. datasets/sample/NOTICE holds the attributions to keep.
  Both are for tests and demonstrations: never train on them what is then measured on them.
Check
  benchmarks data check sample
""",
    "phantom": """\
phantom: random anatomies in HU, computed when they are read. Nothing to get, nothing to ask: no one's scan is in it.

Settings
  phantom:count=64,seed=0,size=64x256x256,spacing=2.5x1.5x1.5,anatomy=torso    (z, y, x; mm; torso, head, limbs, mixed)
Splits
  By a hash of the case's name, which holds seed and index.
Terms
  None: use as you like. Figures on phantoms say how a method behaves, not how it does on patients.
Check
  benchmarks data check phantom:count=4
Write as files
  benchmarks data write phantom:count=4 DIR
""",
}


def how_to_get(name: str) -> str:
    """The text for a data set.

    Raises:
        ValueError: there is no such data set; the nearest is named.
    """
    check_name(name)
    return TERMS[name]
