"""How a network is told age and sex: a batch of them, and the embedding that makes a vector of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from priors.networks.patient import OLDEST, SEXES, Patient
from priors.networks.time_embedding import SinusoidalEmbedding

UNKNOWN_SEX = len(SEXES)
"""The row of the embedding of sex, and the index in a batch, that stand for an unknown sex."""

_UNIT = 5.0
"""Years that the sines of the age call 1: the shortest wave is 31 years long, so that ages between those of the
training are told much as their neighbours are."""


@dataclass(frozen=True)
class Patients:
    """Age and sex of a batch, as networks take them.

    Attributes:
        age: (B,) float32 years; NaN where the age is unknown.
        sex: (B,) int64 indices of :data:`SEXES`; :data:`UNKNOWN_SEX` where the sex is unknown.
    """

    age: Tensor
    sex: Tensor

    @classmethod
    def of(cls, patients: Sequence[Patient], device: torch.device | str = "cpu") -> Patients:
        """A batch of patients on a device; ages above 89 become 90."""
        ages = [float("nan") if each.age is None else min(each.age, OLDEST) for each in patients]
        sexes = [UNKNOWN_SEX if each.sex is None else SEXES.index(each.sex) for each in patients]
        return cls(torch.tensor(ages, dtype=torch.float32, device=device), torch.tensor(sexes, device=device))

    def without(self, age: Tensor, sex: Tensor) -> Patients:
        """The same batch, unknown where the masks (B,) say so."""
        return Patients(self.age.masked_fill(age, float("nan")), self.sex.masked_fill(sex, UNKNOWN_SEX))


class PatientEmbedding(nn.Module):
    """A vector for age and sex, added to those of class and time.

    The sex has three rows, female, male and unknown. The age goes as sines and cosines through two layers, or is a
    learned vector where it is unknown. In a new embedding everything that is added is exactly zero, so that a trained
    network that is given one computes what it did before.

    Args:
        width: the number of sines and cosines; even.
        outputs: the length of the vector.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.sex = nn.Embedding(len(SEXES) + 1, outputs)
        self.age = nn.Sequential(
            SinusoidalEmbedding(width), nn.Linear(width, outputs), nn.GELU(), nn.Linear(outputs, outputs)
        )
        self.unknown_age = nn.Parameter(torch.zeros(outputs))
        self.silence()

    @torch.no_grad()
    def silence(self) -> None:
        """Set to zero all that the vector is a sum of; gradients still reach it."""
        last = cast(nn.Linear, self.age[-1])
        for parameter in (self.sex.weight, self.unknown_age, last.weight, last.bias):
            parameter.zero_()

    def forward(self, patients: Patients) -> Tensor:
        """(B, outputs) of a batch of patients."""
        known = ~patients.age.isnan()
        age = self.age(patients.age.nan_to_num() / _UNIT)
        return self.sex(patients.sex) + torch.where(known[:, None], age, self.unknown_age)
