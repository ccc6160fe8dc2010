"""Whether a ratio keeps to its bound, as far as the noise lets one say."""


def verdict(bound: float, low: float, high: float) -> str:
    """Return "met", "missed", or "undecided" where the bound lies in the middle half of the rounds."""
    if low <= bound <= high:
        return "undecided"
    return "met" if high < bound else "missed"
