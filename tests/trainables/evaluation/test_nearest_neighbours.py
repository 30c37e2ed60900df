"""The k-NN classifier against scikit-learn's."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from trainables.evaluation import nearest_neighbours
from trainables.evaluation.nearest_neighbours import correct_by_neighbours, votes_of_neighbours
from trainables.pretraining.encoders import build_encoder
from trainables.trial_config import TrialConfig


@pytest.mark.parametrize("at_once", [2**24, 500])
@pytest.mark.parametrize("num_neighbours", [1, 7, 200])
def test_votes_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch, num_neighbours: int, at_once: int) -> None:
    monkeypatch.setattr(nearest_neighbours, "SIMILARITIES_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    centres = random.normal(size=(4, 6))
    labels, asked = random.integers(4, size=200), random.integers(4, size=60)
    bank, queries = (centres[which] + 0.7 * random.normal(size=(len(which), 6)) for which in (labels, asked))
    reference = KNeighborsClassifier(
        num_neighbours, metric="cosine", algorithm="brute", weights=lambda distances: np.exp((1 - distances) / 0.07)
    ).fit(bank, labels)
    votes = votes_of_neighbours(*(torch.tensor(given) for given in (bank, labels, queries)), 4, num_neighbours)
    shares = votes / votes.sum(dim=1, keepdim=True)
    np.testing.assert_allclose(shares.numpy(), reference.predict_proba(queries), atol=1e-9)
    assert 0.3 < (votes.argmax(dim=1).numpy() == asked).mean() < 1


def test_flags_are_of_the_features_that_are_probed(tiny: Callable[..., TrialConfig]) -> None:
    config = tiny(probe_layer="backbone")
    encoder = build_encoder(config, 0).train()
    images = torch.randint(0, 256, (90, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images[:, 0] //= torch.tensor([1, 3])[torch.arange(90) % 2][:, None, None]
    labels = torch.arange(90) % 2
    found = correct_by_neighbours(encoder, (images[:60], labels[:60]), (images[60:], labels[60:]), 5, config)
    with torch.no_grad():
        features = encoder.eval().backbone(images / 255).numpy()
    reference = KNeighborsClassifier(5, metric="cosine", weights=lambda distances: np.exp((1 - distances) / 0.07))
    predicted = reference.fit(features[:60], labels[:60]).predict(features[60:])
    assert np.array_equal(found, predicted == labels[60:].numpy()) and found.mean() > 0.6
    assert not encoder.training
