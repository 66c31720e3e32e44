"""The registry: every method is complete and documented, and every wrong name or value is one clear line."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import dataclass, field
from typing import get_args

import pytest

from recon.errors import InputError
from recon.methods import get_method, method_names, parse_options
from recon.methods.method import Method, NoOptions
from recon.scan.volume import Modality

EVERY = [(modality, name) for modality in get_args(Modality) for name in method_names(modality)]


@dataclass(frozen=True)
class Options:
    """One field of every type that the registry parses."""

    count: int = 3
    weight: float = 0.5
    auto_weight: float | None = None
    limit: int | None = 7
    flag: bool = False
    window_name: str = "hann"

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count must not be negative")


EXAMPLE = Method("an example", "none", Options, lambda measurement, options, context: None)  # type: ignore[arg-type,return-value]


def test_the_classical_methods_are_there() -> None:
    assert {"fbp", "cgls", "sirt", "tv"} <= set(method_names("CT"))
    assert {"zero-filled", "cg-sense", "l1-wavelet", "tv"} <= set(method_names("MR"))
    for modality in get_args(Modality):
        assert method_names(modality) == sorted(method_names(modality))


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_every_method_is_documented(modality: Modality, name: str) -> None:
    method = get_method(modality, name)
    assert 10 < len(method.summary) < 80
    assert "\n" not in method.summary
    assert len(method.reference) > 5
    assert callable(method.run)
    assert method.run.__doc__
    assert dataclasses.is_dataclass(method.options)
    assert method.options.__dataclass_params__.frozen  # type: ignore[attr-defined]
    for option in dataclasses.fields(method.options):
        assert len(option.metadata["help"]) > 8, option.name
        assert option.default is not dataclasses.MISSING, option.name


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_every_default_can_be_written_and_read(modality: Modality, name: str) -> None:
    """What the help shows as a default is accepted by ``--set``."""
    method = get_method(modality, name)
    defaults = method.options()
    written = {
        option.name.replace("_", "-"): "auto" if option.default is None else str(option.default)
        for option in dataclasses.fields(method.options)
    }
    assert parse_options(method, written) == parse_options(method, {}) == defaults


def test_listing_imports_no_method() -> None:
    code = (
        "import sys; from recon.methods import method_names; names = method_names('CT') + method_names('MR'); "
        "assert names; assert not {'torch', 'numpy', 'sigpy'} & set(sys.modules); "
        "assert not [m for m in sys.modules if m.startswith('recon.methods.')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("modality", "name", "message"),
    [
        ("CT", "fpb", "--method fpb: no such CT method; did you mean fbp?"),
        ("CT", "zero-filled", "no such CT method; there are cgls, ddnm, dds"),
        ("MR", "l1-wavelets", "did you mean l1-wavelet?"),
        ("MR", "l1_wavelet", "did you mean l1-wavelet?"),
        ("MR", "", "no such MR method; there are cg-sense"),
        ("CT", "ct_fbp", "no such CT method"),
        ("CT", "../os", "no such CT method"),
    ],
)
def test_unknown_methods(modality: Modality, name: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        get_method(modality, name)
    assert message in str(raised.value)


def test_values_are_parsed() -> None:
    settings = {"count": "5", "weight": "1e-3", "auto-weight": "2", "limit": "4", "flag": "yes", "window-name": "box"}
    assert parse_options(EXAMPLE, settings) == Options(5, 1e-3, 2.0, 4, True, "box")
    assert parse_options(EXAMPLE, {}) == Options()


@pytest.mark.parametrize("text", ["auto", "none", "None", "AUTO"])
def test_auto_is_none(text: str) -> None:
    assert parse_options(EXAMPLE, {"auto-weight": text, "limit": text}) == Options(limit=None)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("Yes", True), ("1", True), ("FALSE", False), ("no", False), ("0", False)]
)
def test_flags(text: str, value: bool) -> None:
    assert parse_options(EXAMPLE, {"flag": text}).flag is value


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("wieght", "1", "--set wieght=1: the method has no such option; did you mean weight?"),
        ("zzz", "1", "it has count, weight, auto-weight, limit, flag, window-name"),
        ("auto_weight", "1", "did you mean auto-weight?"),
        ("count", "2.5", "--set count=2.5: not a value of type int"),
        ("count", "auto", "--set count=auto: not a value of type int"),
        ("count", "", "not a value of type int"),
        ("count", "-1", "--set: count must not be negative"),
        ("weight", "heavy", "--set weight=heavy: not a value of type float"),
        ("weight", "nan", "--set weight=nan: must be a finite number"),
        ("auto-weight", "inf", "must be a finite number"),
        ("limit", "x", "not a value of type int"),
        ("flag", "maybe", "not a value of type bool"),
    ],
)
def test_wrong_options(key: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_options(EXAMPLE, {key: text})
    assert message in str(raised.value)


def test_a_method_without_options_says_so() -> None:
    method = dataclasses.replace(EXAMPLE, options=NoOptions)
    assert parse_options(method, {}) == NoOptions()
    with pytest.raises(InputError, match="it has none"):
        parse_options(method, {"weight": "1"})


def test_string_and_default_factory_free_fields_only() -> None:
    """A field of a type that cannot be parsed would only fail when a user sets it."""
    known = {"bool", "int", "float", "str"}
    for modality, name in EVERY:
        for option in dataclasses.fields(get_method(modality, name).options):
            assert str(option.type).removesuffix(" | None") in known, f"{modality} {name}: {option.name}"


def test_options_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_method("CT", "cgls").options().iterations = 3


@dataclass(frozen=True)
class _Documented:
    weight: float = field(default=1.0, metadata={"help": "a weight in mm"})


def test_underscores_of_fields_are_hyphens_of_options() -> None:
    assert "window-name" in str(_error_for("window"))
    assert parse_options(dataclasses.replace(EXAMPLE, options=_Documented), {"weight": "2"}) == _Documented(2.0)


def _error_for(key: str) -> InputError:
    with pytest.raises(InputError) as raised:
        parse_options(EXAMPLE, {key: "1"})
    return raised.value
