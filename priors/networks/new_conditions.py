"""Other conditions for a trained noise estimator: other classes, or age and sex besides; all else as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from priors.networks.biflownet import BiFlowNet


def with_classes(net: BiFlowNet, rows: Sequence[int]) -> BiFlowNet:
    """A copy of a network whose embedding has one row for each of its new classes.

    Args:
        net: the trained network.
        rows: the index of the class whose row each new class begins with; training tells the rows apart.

    Raises:
        ValueError: no class, or a row that the network does not have.
    """
    known = net.config.classes
    if not rows or not all(0 <= row < known for row in rows):
        raise ValueError(f"rows {list(rows)}: this network has the classes 0 to {known - 1}")
    copy = BiFlowNet(replace(net.config, classes=len(rows)))
    state = net.state_dict()
    state["cond_emb.weight"] = state["cond_emb.weight"][list(rows)]
    copy.load_state_dict(state)
    return copy


def with_patient(net: BiFlowNet) -> BiFlowNet:
    """A copy of a network that is told age and sex, and computes what the network did until it is trained further.

    A network that is told them already is returned as it is.
    """
    if net.config.patient:
        return net
    copy = BiFlowNet(replace(net.config, patient=True))
    copy.load_state_dict(copy.state_dict() | net.state_dict())
    return copy
