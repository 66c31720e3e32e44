"""Whose data weights have seen: no name can be read in a card, and nothing of the chain is forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from priors.weights.card import Card, read_card, save_weights
from priors.weights.model_card import export, model_card
from priors.weights.seen import BEFORE, CALIBRATED_ON, Seen, chain_facts, salted, seen_in, without_names

NAMES = ("DOE^JANE", "4711")


def test_a_card_tells_of_a_name_that_is_asked_for_and_holds_none() -> None:
    facts = chain_facts(Seen.of(NAMES, ["train/DOE^JANE-1"], ["ab" * 32]), [])
    assert not any(name in json.dumps(facts) for name in (*NAMES, "train/"))
    (seen,) = seen_in(facts)
    assert seen.knows("DOE^JANE", "another")
    assert seen.knows("another", "train/DOE^JANE-1")
    assert seen.knows("renamed", "renamed", "ab" * 32), "the content is known by another name"
    assert not seen.knows("DOE^JOHN", "train/DOE^JOHN", "cd" * 32)


def test_salts_differ_from_card_to_card() -> None:
    one, other = Seen.of(["a"], []), Seen.of(["a"], [])
    assert one.subjects != other.subjects
    assert salted("a", one.salt) in one.subjects


def test_what_networks_before_have_seen_is_kept_along_the_chain() -> None:
    first = chain_facts(Seen.of(["anne"], ["a"]), [])
    second = chain_facts(Seen.of(["bert"], ["b"]), seen_in(first))
    third = chain_facts(Seen.of(["cleo"], ["c"]), [*seen_in(second), *seen_in(first)])
    assert len(third[BEFORE]) == 2, "each once"
    for name in ("anne", "bert", "cleo"):
        assert any(each.knows(name, "-") for each in seen_in(third))
    assert not any(each.knows("dora", "-") for each in seen_in(third))


def test_plain_names_of_earlier_cards_are_understood_and_disguised_in_new_ones() -> None:
    earlier = {"subjects": ["anne"], "cases": ["train/anne"], CALIBRATED_ON: ["val/bert"]}
    assert seen_in(earlier)[0].knows("anne", "-")
    assert seen_in(earlier)[0].knows("-", "val/bert")
    for later in (chain_facts(Seen.of(["cleo"], []), seen_in(earlier)), without_names(earlier)):
        assert not any(name in json.dumps(later) for name in ("anne", "bert"))
        assert any(each.knows("anne", "-") for each in seen_in(later))
        assert any(each.knows("-", "val/bert") for each in seen_in(later))
    assert len(without_names(earlier)["cases"]) == 1, "cases of a calibration are no cases of the training"


def test_an_exported_file_names_nobody(tmp_path: Path) -> None:
    extra = {"subjects": list(NAMES), "cases": ["train/DOE^JANE"], "recipe": {}}
    save_weights(tmp_path / "a.safetensors", {"w": torch.ones(3)}, Card("unet", {}, extra=extra))
    export(tmp_path / "a.safetensors", tmp_path / "b.safetensors", half=True)
    assert b"DOE" not in (tmp_path / "b.safetensors").read_bytes()
    assert "DOE" not in model_card(tmp_path / "b.safetensors")
    assert "1 volumes of 2 subjects" in model_card(tmp_path / "b.safetensors")
    assert seen_in(read_card(tmp_path / "b.safetensors").extra)[0].knows("DOE^JANE", "-")
