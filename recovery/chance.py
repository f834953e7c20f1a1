"""How many failures chance alone explains: independent accidents, and accidents that come in bursts."""

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil, exp, floor, fsum, lgamma, log

# A service exactly at its limit shows a window this bad less than once in so many. An hour has 240 windows of
# two triggers, so even such a service is blamed in fewer than 1 of 200 hours, and a healthy one in far fewer.
CHANCE = 1e-5


def fewest_beyond_chance(total: float, share: float, burst: float = 1.0) -> int:
    """The fewest failures of `total` that a service failing with this share shows with less than CHANCE.

    By the Poisson distribution, whose tail is the heavier one, so that the answer errs on the quiet side.
    Failures that come in bursts are as many independent accidents as there are bursts.
    """
    mean = share * total / burst
    if mean <= 0:
        return 1
    counts = range(floor(mean) + 1, floor(mean + 10 * mean**0.5) + 30)
    return ceil(burst * counts[bisect_left(counts, True, key=lambda count: _tail(count, mean) <= CHANCE)])


def burst_size(failures: Sequence[float]) -> float:
    """How many failures come at once: their variance from step to step over their mean, at least 1.

    The steps at the end that are all above the mean are left out: they are the trouble that is being judged,
    and a fault that begins at full strength must not pass for one huge burst.
    """
    mean = fsum(failures) / max(1, len(failures))
    calm = list(failures)
    while calm and calm[-1] > mean:
        calm.pop()
    if len(calm) < 2 or not any(calm):
        return 1.0
    average = fsum(calm) / len(calm)
    return max(1.0, fsum((each - average) ** 2 for each in calm) / (len(calm) - 1) / average)


def _tail(count: int, mean: float) -> float:
    """An upper bound of the Poisson probability of `count` or more, for a count above the mean.

    Each further term is smaller by at least mean / (count + 1), so the geometric series bounds their sum.
    """
    term = exp(count * log(mean) - mean - lgamma(count + 1))
    return term * (count + 1) / (count + 1 - mean)
