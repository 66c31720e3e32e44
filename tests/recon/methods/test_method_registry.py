"""The registry: every method is complete and documented, and every wrong name or value is one clear line."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from pydantic import ValidationError, field_validator

from recon.errors import InputError
from recon.methods import get_method, method_names, parse_options
from recon.methods.method import Method
from recon.options import NoOptions, Options, described, plain, setting
from recon.scan.volume import Modality

EVERY = [(modality, name) for modality in get_args(Modality) for name in method_names(modality)]


class Example(Options):
    """One field of every type that options have."""

    count: int = setting(3, "how many there are", ge=0)
    weight: float = setting(0.5, "weight of the term", unit="mm")
    auto_weight: float | None = setting(None, "weight of the other term", gt=0, le=10)
    limit: int | None = setting(7, "largest number")
    flag: bool = setting(False, "whether there is one")
    window_name: Literal["hann", "cosine"] = setting("hann", "name of the window")
    dimensions: Literal[2, 3] = setting(2, "number of dimensions")
    file: str = setting("", "file to read")
    taps: int = setting(4, "taps of the cosine window", needs=("window_name", "cosine"))

    @field_validator("file")
    @classmethod
    def _no_pickle(cls, name: str) -> str:
        if name.endswith(".pkl"):
            raise ValueError("must be no pickle")
        return name


EXAMPLE = Method("an example", "none", Example, lambda measurement, options, context: None)  # type: ignore[arg-type,return-value]


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
    assert len(method.citation) > 5
    assert callable(method.run)
    assert method.run.__doc__
    assert method.options.model_config["frozen"]
    for option in described(method.options):
        assert len(option.description) > 8, option.key
        assert option.requirement
    method.options()  # every field has a default


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_every_default_can_be_written_and_read(modality: Modality, name: str) -> None:
    """What the help shows as a default is accepted by ``--set``."""
    method = get_method(modality, name)
    defaults = method.options()
    written = {
        option.key: "auto" if option.default is None else str(option.default) for option in described(method.options)
    }
    assert parse_options(method, written) == parse_options(method, {}) == defaults


def test_listing_imports_no_method() -> None:
    code = (
        "import sys; from recon.methods import method_names; names = method_names('CT') + method_names('MR'); "
        "assert names; assert not {'torch', 'numpy', 'sigpy'} & set(sys.modules); "
        "assert not [m for m in sys.modules if m.startswith(('recon.methods.ct_', 'recon.methods.mr_'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("modality", "name", "message"),
    [
        ("CT", "fpb", "`method` fpb: no such CT method; did you mean fbp?"),
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


def test_texts_and_python_values_are_taken() -> None:
    texts = {"count": "5", "weight": "1e-3", "auto-weight": "2", "flag": "yes", "window-name": "cosine"}
    values = {"count": 5, "weight": 1e-3, "auto_weight": 2, "flag": True, "window_name": "cosine"}
    expected = Example(count=5, weight=1e-3, auto_weight=2.0, flag=True, window_name="cosine")
    assert parse_options(EXAMPLE, texts) == parse_options(EXAMPLE, values) == expected
    assert parse_options(EXAMPLE, {"dimensions": "3"}).dimensions == 3
    assert parse_options(EXAMPLE, {"file": Path("a/b")}).file == "a/b"
    assert parse_options(EXAMPLE, {}) == Example()


def test_values_are_stored_as_plain_ones() -> None:
    options = parse_options(EXAMPLE, {"count": "5", "auto-weight": "auto", "window-name": "cosine"})
    assert plain(options) == {"count": 5, "auto-weight": None, "window-name": "cosine"}


@pytest.mark.parametrize("text", ["auto", "none", "None", "AUTO"])
def test_auto_is_none(text: str) -> None:
    assert parse_options(EXAMPLE, {"auto-weight": text, "limit": text}) == Example(limit=None)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("Yes", True), ("1", True), ("FALSE", False), ("no", False), ("0", False)]
)
def test_flags(text: str, value: bool) -> None:
    assert parse_options(EXAMPLE, {"flag": text}).flag is value


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("wieght", "1", "`wieght`=1: the method has no such option; did you mean weight?"),
        ("zzz", "1", "it has count, weight, auto-weight, limit, flag, window-name"),
        ("count", "2.5", "`count`=2.5: must be an integer of 0 or more"),
        ("count", "auto", "`count`=auto: must be an integer"),
        ("count", "", "must be an integer"),
        ("count", "-1", "`count`=-1: must be an integer of 0 or more"),
        ("count", -1, "`count`=-1: must be an integer of 0 or more"),
        ("count", None, "`count`=None: must be an integer"),
        ("weight", "heavy", "`weight`=heavy: must be a number in mm"),
        ("weight", "nan", "`weight`=nan: must be a number"),
        ("auto-weight", "inf", "must be a number above 0 and at most 10, or auto"),
        ("auto-weight", 11, "must be a number above 0 and at most 10, or auto"),
        ("limit", "x", "must be an integer, or auto"),
        ("flag", "maybe", "must be yes or no"),
        ("window-name", "han", "must be one of hann, cosine; did you mean hann?"),
        ("dimensions", "4", "must be one of 2, 3"),
        ("file", "x.pkl", "`file`=x.pkl: must be no pickle"),
        ("file", 3, "`file`=3: must be text"),
        ("taps", "5", "`taps`: has an effect only with `window-name`=cosine"),
    ],
)
def test_wrong_options(key: str, text: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_options(EXAMPLE, {key: text})
    assert message in str(raised.value)


def test_a_method_without_options_says_so() -> None:
    method = dataclasses.replace(EXAMPLE, options=NoOptions)
    assert parse_options(method, {}) == NoOptions()
    with pytest.raises(InputError, match="it has none"):
        parse_options(method, {"weight": "1"})


def test_a_field_of_a_type_that_no_text_can_have_is_refused() -> None:
    class Wrong(Options):
        sizes: tuple[int, ...] = setting((), "several sizes")

    with pytest.raises(TypeError, match="cannot be of type"):
        described(Wrong)


def test_options_are_immutable() -> None:
    with pytest.raises(ValidationError):
        get_method("CT", "cgls").options().iterations = 3  # type: ignore[attr-defined]


def test_an_option_is_set_once() -> None:
    with pytest.raises(InputError, match="`auto-weight`: set twice"):
        parse_options(EXAMPLE, {"auto-weight": 1, "auto_weight": 2})


def test_a_data_step_adds_its_options_to_the_method_s_own() -> None:
    method = get_method("CT", "tv+dc")
    keys = [option.key for option in described(method.options)]
    assert keys == ["weight", "grid", "iterations", "tolerance", "dc-weight", "dc-iterations"]
    options = parse_options(method, {"iterations": 7, "dc-iterations": "9"})
    assert (options.iterations, options.dc_iterations) == (7, 9)
    with pytest.raises(InputError, match="`dc-iterations`=0: must be an integer of 1 or more"):
        parse_options(method, {"dc-iterations": 0})
    with pytest.raises(InputError, match="no such option"):
        parse_options(get_method("CT", "tv"), {"dc-iterations": 9})


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dds", {"mode": "2d", "rho": 0.1}),
        ("dds", {"gamma": 2}),
        ("dds", {"legacy": "yes"}),
        ("dolce", {"rate": 0.2}),
    ],
)
def test_options_of_another_mode_are_refused_not_ignored(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="has an effect only with"):
        parse_options(get_method("CT", name), settings)
