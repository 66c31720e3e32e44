"""YAML of strangers: bombs, knots and depths are one line, and cost nothing."""

from __future__ import annotations

import pytest

from priors.training.plain_yaml import LARGEST, read_yaml, read_yaml_file
from priors.training.recipe import load_recipe

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
HOSTILE = {
    "bomb": (BOMB, "aliases stand for more than"),
    "knot": ("a: &a [*a]", "an alias of itself"),
    "deep": ("[" * 2000 + "]" * 2000, "nested"),
    "very deep": ("[" * 100_000, "nested too deeply"),
    "long": ("#" * (LARGEST + 1), "are the most"),
    "date": ("a: 2001-99-99", "not YAML"),
    "digits": ("a: " + "9" * 5000, "not YAML"),
    "object": ("!!python/object/apply:os.system [true]", "not YAML"),
    "key": ("? [a, b]\n: 1", "not YAML"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_texts_are_refused_in_one_line(what, tmp_path):
    text, words = HOSTILE[what]
    with pytest.raises(ValueError, match=words) as caught:
        read_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with pytest.raises(ValueError, match=r"recipe .*recipe\.yaml: "):
        load_recipe("biflownet", str(recipe))


@pytest.mark.parametrize(
    "setting", [f"task.x={'[' * 5000}", "task.x=2001-99-99", "task.x={a: &a [*a]}", "a." * 5000 + "b=1"]
)
def test_hostile_settings_are_refused_in_one_line(setting):
    with pytest.raises(ValueError, match="setting") as caught:
        load_recipe("biflownet", "tiny", [setting])
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("setting", ["workers=100000", "batch=1000000000"])
def test_absurd_numbers_are_refused(setting):
    with pytest.raises(ValueError, match="less than or equal"):
        load_recipe("biflownet", "tiny", [setting])


def test_plain_settings_are_read_with_their_aliases(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &a {x: 1, y: [2, 3]}\nb: *a\nc: {<<: *a, z: null}\n")
    assert read_yaml_file(tmp_path / "a.yaml") == {
        "a": {"x": 1, "y": [2, 3]},
        "b": {"x": 1, "y": [2, 3]},
        "c": {"x": 1, "y": [2, 3], "z": None},
    }
    assert read_yaml("") is None
    assert read_yaml("1e-4") == "1e-4"
