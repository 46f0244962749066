"""When a job is given up whose workers died."""

from __future__ import annotations

import math

FEWEST, MOST = 3, 10
"""Deaths after which a job may be, and after which it is given up."""

BY_CHANCE = 1e-3
"""A job is given up once so many deaths in a row would be rarer than this for a blameless one."""

PRIOR_DEATHS, PRIOR_TRIES = 1, 10
"""What is taken as known before anything was tried."""


class Deaths:
    """Counts tries and deaths of all jobs, to tell a job that kills its workers from workers that
    die of themselves, as those of machines that are lent and taken back.

    With q the share of the other jobs' tries that ended in a death (one in ten more tries than
    there were), a job is given up after the least k deaths for which qᵏ ≤ BY_CHANCE, but at least
    FEWEST and at most MOST: after 3 where workers hardly die, after 10 where every second does.
    """

    def __init__(self) -> None:
        self.tries = self.deaths = 0

    def ended(self) -> None:
        """A job came to its end."""
        self.tries += 1

    def died(self) -> None:
        """A worker died while it did a job."""
        self.tries += 1
        self.deaths += 1

    def allowed(self, own: int) -> int:
        """After how many deaths a job is given up that has `own` of all that were counted."""
        others, deaths = self.tries - own, self.deaths - own
        share = (deaths + PRIOR_DEATHS) / (others + PRIOR_TRIES)
        if share >= 1.0:
            return MOST
        # The quotient of equal powers may be a hair above the whole number that it is.
        needed = math.ceil(math.log(BY_CHANCE) / math.log(share) - 1e-9)
        return min(max(needed, FEWEST), MOST)

    def nobody_lives(self, own: int) -> bool:
        """Whether MOST tries were made, of several jobs, and each was a death: then it is not for
        a job to be given up. own: deaths of one job."""
        return MOST <= self.tries == self.deaths > own
