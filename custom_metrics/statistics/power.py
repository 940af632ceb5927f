"""What a paired comparison of n questions can show: the power of the exact McNemar test, and its inverses.

Differences and discordance are fractions between 0 and 1. scipy is imported where it is called, so that importing
this module costs nothing.
"""

ALPHA = 0.05  # what is shown has a p of at most this


def paired_power(n: int, difference: float, discordance: float, alpha: float = ALPHA) -> float:
    """The probability that the exact McNemar test shows a true ``difference`` with ``n`` questions, in its direction.

    ``discordance`` is the share of questions whose answer changes either way, at least ``difference`` and above 0.
    Exact: power given the number of changed answers, averaged over that number. Source: Schork and Williams 1980,
    Communications in Statistics B 9:349-357; the EXACT_COND method of SAS PROC POWER.
    """
    import numpy
    from scipy.stats import binom

    # All but 2e-10 of the distribution: the rest cannot be seen in a power, and n may be large.
    changed = numpy.arange(binom.ppf(1e-10, n, discordance), binom.isf(1e-10, n, discordance) + 1)
    most_insignificant = binom.isf(alpha / 2, changed, 0.5)
    one_way = (discordance + abs(difference)) / (2 * discordance)
    return float(binom.pmf(changed, n, discordance) @ binom.sf(most_insignificant, changed, one_way))


def smallest_visible_difference(n: int, discordance: float, power: float = 0.8, alpha: float = ALPHA) -> float | None:
    """The smallest true difference that ``n`` questions show with the given ``power``; None if they show none at all.

    A difference above the observed ``discordance`` needs at least as many changed answers, and is given them; so
    the answer is never 0, even where no answer changed.
    """
    from scipy.optimize import brentq

    def shortfall(difference: float) -> float:
        return power - paired_power(n, difference, max(discordance, difference), alpha)

    return None if shortfall(1.0) > 0 else float(brentq(shortfall, 1e-9, 1.0, xtol=1e-6))


def questions_needed(difference: float, discordance: float, power: float = 0.8, alpha: float = ALPHA) -> int | None:
    """How many questions show ``difference`` with the given ``power``, at this ``discordance``; None for no difference.

    The power of an exact test rises with n in small steps back and forth; the number is right to within one such step.
    """
    if not difference:
        return None
    discordance, enough = max(discordance, abs(difference)), 1
    while paired_power(enough, difference, discordance, alpha) < power:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if paired_power(middle, difference, discordance, alpha) < power:
            too_few = middle
        else:
            enough = middle
    return enough
