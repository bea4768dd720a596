"""95% confidence intervals: Wilson's for independent trials, and percentile bootstraps over tasks and over clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z95 = 1.959963984540054
"""The 97.5% quantile of the standard normal distribution, for two-sided 95% intervals."""
DRAWS = 4000
"""Number of bootstrap draws; with it, the seed moves the interval's ends by less than a tenth of its width."""


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95% score interval for `successes` out of `n` trials.

    It stays within 0..1 and has a positive width at 0 and at `n` successes, unlike the normal approximation.
    """
    share = successes / n
    middle = share + Z95**2 / (2 * n)
    half = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    return (max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def bootstrap_interval(means: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of the mean over tasks, each represented by one number.

    Drawing whole tasks keeps correlated numbers together: a task's number is the mean of its samples, or in a paired
    comparison the difference of two policies on the same task, which removes the difficulty that both share.
    """
    # Task means take few distinct values, so drawing n tasks with replacement is one multinomial draw over the values.
    # This replaces an array of draws × tasks by one of draws × values.
    values, counts = np.unique(np.asarray(means), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(means), counts / len(means), size=DRAWS)
    low, high = np.quantile(drawn @ values / len(means), (0.025, 0.975))
    return (float(low), float(high))


def cluster_interval(clusters: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of the mean over tasks, where whole clusters of tasks are drawn.

    Clusters may differ in size, so each draw is a ratio: the sum over the drawn tasks divided by their number.
    """
    sums, sizes = np.array([sum(part) for part in clusters]), np.array([len(part) for part in clusters])
    rng, uniform, drawn = np.random.default_rng(seed), np.full(len(clusters), 1 / len(clusters)), []
    for _ in range(0, DRAWS, 100):  # 100 draws at a time bound the memory: each draw has one count per cluster
        counts = rng.multinomial(len(clusters), uniform, size=100)
        drawn.append((counts @ sums) / (counts @ sizes))
    low, high = np.quantile(np.concatenate(drawn), (0.025, 0.975))
    return (float(low), float(high))
