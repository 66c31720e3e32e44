"""Lists of data sets that somebody else may have written."""

from __future__ import annotations

import pytest

from datasets import open_dataset
from recon.errors import InputError
from recon.training.sources import parse_data

BOMB = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "aliases stand for more than"),
        ("[" * 5000, "nested"),
        ("- &a {path: *a}", "alias of itself"),
        ("- [" + "x, " * 5000 + "x]", "is no data set"),
        ("- {path: ., repeat: 1000000000}", "from 1 to 1000"),
    ],
)
def test_hostile_lists_are_one_line(tmp_path, text, words):
    file = tmp_path / "data.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        parse_data(str(file), "folder", None, None)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", ["1000000000", "0", "1e9", "9" * 5000])
def test_an_absurd_number_of_phantoms_is_refused(count):
    with pytest.raises(ValueError, match="phantom: count"):
        open_dataset(f"phantom:count={count}")
