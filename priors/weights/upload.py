"""Upload a repository of weights to Hugging Face, with the user's own token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from priors.weights.card import one_line
from priors.weights.transport import check_address


def upload(folder: Path, repository: str) -> str:
    """Make a private repository where there is none, and add the folder's files to it in one commit.

    The token is the one of ``hf auth login`` or ``$HF_TOKEN``; it goes to Hugging Face (or ``$HF_ENDPOINT``) alone and
    is never printed. Whether a repository becomes public is decided on its page.

    Args:
        folder: what :func:`priors.weights.repository.write_repository` wrote.
        repository: ``OWNER/NAME``.

    Returns:
        The source for :func:`priors.weights.pull.pull`.

    Raises:
        ValueError: the endpoint is not to be trusted.
        ConnectionError: no token, no right to write there, or no connection.
    """
    from huggingface_hub import HfApi  # a second to import, which only this needs

    api: Any = HfApi()
    check_address(api.endpoint, api.endpoint)
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Weights with their cards")
    except Exception as error:  # the client's errors and its transport's have no base in common
        raise ConnectionError(
            f"hf://{repository}: could not be uploaded: {one_line(error)}; 'hf auth login' stores a token for it"
        ) from error
    return f"hf://{repository}"
