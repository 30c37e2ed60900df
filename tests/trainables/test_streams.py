"""Random streams: a function of seed and purpose, apart from the global generators."""

import pytest
import torch

from trainables.streams import stream, stream_seed


def test_equal_purpose_gives_equal_numbers() -> None:
    first, second = (torch.rand(100, generator=stream(3, "views", 1, 7)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("other", [(4, "views", 1, 7), (3, "order", 1, 7), (3, "views", 7, 1), (3, "views", 17)])
def test_other_seed_or_purpose_gives_other_numbers(other: tuple[int, str]) -> None:
    numbers = torch.rand(1000, generator=stream(3, "views", 1, 7), dtype=torch.float64)
    others = torch.rand(1000, generator=stream(*other), dtype=torch.float64)
    correlation = torch.corrcoef(torch.stack([numbers, others]))[0, 1]
    assert abs(correlation) < 0.15  # more than four standard errors


def test_seeds_fit_a_signed_64_bit_integer_and_do_not_collide() -> None:
    seeds = {stream_seed(0, "views", epoch, batch) for epoch in range(50) for batch in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.usefixtures("global_rng_untouched")
def test_global_generators_untouched() -> None:
    torch.rand(10, generator=stream(0, "views"))


def test_a_stream_ignores_the_global_seed() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = stream(0, "views").initial_seed()
        torch.manual_seed(2)
        assert stream(0, "views").initial_seed() == first
