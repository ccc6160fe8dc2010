"""`python -m benchmarks.reporting`: write tables and plots of benchmarks/results without measuring."""

from benchmarks.reporting.documents import (
    DOCUMENTS,
    RESULTS,
    goals_table,
    load,
    rows_of,
    summary,
    write_documents,
)
from benchmarks.reporting.profiles import load as load_profiles


def main() -> None:
    """Write goals.md, and performance.md with its plots."""
    document = load(RESULTS)
    (RESULTS / "goals.md").write_text(f"{summary(document)}\n\n{goals_table(rows_of(document))}\n", "utf-8")
    write_documents(document, load_profiles(RESULTS), DOCUMENTS)


if __name__ == "__main__":
    main()
