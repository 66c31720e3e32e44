"""A picture of features: t-SNE of real and generated volumes together. It shows, it does not measure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def tsne(
    groups: Mapping[str, np.ndarray], *, seed: int = 0, perplexity: float = 30.0, components: int = 50
) -> dict[str, np.ndarray]:
    """Points in the plane whose neighbours are those of the features (van der Maaten and Hinton, 2008).

    All groups together are reduced to their principal components and placed in one plane by
    scikit-learn, from their first two components on. Distances between far points, and sizes of clusters, mean nothing.

    Args:
        groups: (n, d) features of each group, such as the real volumes and those of each method.
        seed: the seed of the placement.
        perplexity: the number of neighbours that a point has, in effect; less where there are few points.
        components: the principal components that are kept.

    Returns:
        (n, 2) of each group.

    Raises:
        ValueError: fewer than 4 points in all, or scikit-learn is not installed.
    """
    together = np.concatenate(list(groups.values()))
    if len(together) < 4:
        raise ValueError(f"{len(together)} volumes: a picture of neighbours needs 4 or more")
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ValueError("t-SNE needs scikit-learn: pip install 'meddiffusion-recon[tsne]'") from error
    kept = min(components, *together.shape)
    reduced = PCA(n_components=kept, random_state=seed).fit_transform(together)
    fitting = min(perplexity, (len(together) - 1) / 3)
    placed = TSNE(
        n_components=2, perplexity=fitting, init="pca", learning_rate="auto", random_state=seed
    ).fit_transform(reduced)
    ends = np.cumsum([len(each) for each in groups.values()])
    return dict(zip(groups, np.split(placed, ends[:-1]), strict=True))
