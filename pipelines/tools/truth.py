"""Join what all tables say of the training films: one label a line, with its source."""

# ruff: noqa: T201 -- a command prints its result

import argparse
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.chest_findings.cases import Case, read_cases
from pipelines.datasets.truth import truths_of

HEADS = ("image", "patient_id", "split", "finding", "share", "weight", "source")


def write_truth(arguments: list[str]) -> int:
    """Write the manifest of weighed labels, and print how many each source gave."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.tools.truth", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cxr/manifest.csv")
    parser.add_argument("--out", type=Path, help="the manifest, a CSV table")
    options = parser.parse_args(arguments)
    cases = [one for one in read_cases(options.data) if one.split == "train"]
    lines = list(weighed(cases))
    if options.out:
        with options.out.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(HEADS)
            table.writerows(lines)
    labels = Counter(str(line[-1]) for line in lines)
    films = Counter(source for _, source in {(line[0], line[-1]) for line in lines})
    for source, count in labels.most_common():
        print(f"{source:32} {count:7} labels on {films[source]:5} films")
    return 0


def weighed(cases: Sequence[Case]) -> Iterator[tuple[object, ...]]:
    """Give each case's labels as lines of the manifest; a case nobody weighed gives none."""
    for case in cases:
        if case.reading is not None:
            told = (case.image.name, case.patient_id, case.split)
            for name, truth in truths_of(case.reading).items():
                yield (*told, name, round(truth.share, 4), truth.weight, truth.source)


if __name__ == "__main__":
    import sys

    raise SystemExit(write_truth(sys.argv[1:]))
