"""Measure the pneumothorax model on a split, through the serving code."""

from dataclasses import dataclass, replace

import numpy as np

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.picture import open_mask
from pipelines.measuring.binary import Figures, Scored, beside, figures, mean_of, parts_of
from pipelines.measuring.curves import Chart, Line, calibration_chart, precision_chart, roc_chart
from pipelines.measuring.metrics import Flags
from pipelines.measuring.report import MISSES, Miss, Report, finish, parse
from pipelines.pneumothorax.cases import Case, read_cases
from pipelines.pneumothorax.pipeline import NAME, load
from pipelines.pneumothorax.readings import Fit, Readings, fits, mask_at, read_all
from pipelines.serving.manifest import ModelManifest

SMALL, LARGE = 0.01, 0.04
"""Shares of the film that part small, middle and large pneumothoraces."""


@dataclass(frozen=True, slots=True)
class Exam:
    """The readings of a split with what follows from them once."""

    readings: Readings
    told: Scored
    fits: tuple[Fit, ...]

    def only(self, keep: Flags) -> "Exam":
        """Keep some of the images."""
        rows = {int(row): number for number, row in enumerate(np.flatnonzero(keep))}
        kept = [(rows[fit.row], fit) for fit in self.fits if fit.row in rows]
        moved = tuple(replace(fit, row=row) for row, fit in kept)
        return Exam(self.readings.only(keep), self.told.only(keep), moved)


def evaluate(arguments: list[str]) -> int:
    """Print the tables of the model on one split of expert labels."""
    options = parse(NAME, arguments, __doc__)
    pipeline = load(options.models, options.device)
    manifest = pipeline.manifest
    cases = [c for c in read_cases(options.data) if c.split == options.split and c.expert]
    if not cases:
        raise BadSettings(f"--data {options.data}: no expert labels in split {options.split!r}")
    exam = examine(manifest, read_all(pipeline, cases))
    full = exam.only(np.array([not case.small for case in cases]))
    shown = full if full.told.truth.any() else exam
    finish(
        Report(
            NAME,
            pipeline.version,
            manifest.sha256,
            options.split,
            tables(manifest, exam, options.prevalence),
            charts(shown),
            misses(manifest, exam),
        ),
        options,
    )
    return 0


def examine(manifest: ModelManifest, readings: Readings) -> Exam:
    """Calibrate the scores and compare the masks."""
    shares = manifest.calibration.probabilities(readings.logits)
    patients = [case.patient_id for case in readings.cases]
    found = tuple(fits(readings, manifest.mask_threshold))
    return Exam(readings, Scored(readings.truth, shares, patients), found)


def tables(manifest: ModelManifest, exam: Exam, prevalence: float) -> dict[str, Figures]:
    """Give every figure by group; groups that nobody is in are left out."""
    report: dict[str, Figures] = {}
    for name, keep in groups(exam).items():
        if keep.any():
            report[name] = _figures(manifest, exam.only(keep), prevalence, whole=name in WHOLE)
    cases = exam.readings.cases
    scored = np.array([case.chexnet is not None for case in cases])
    full = np.array([not case.small for case in cases])
    for words, keep in (("448 px", scored & full), ("all", scored)):
        if keep.any():
            part = exam.only(keep)
            theirs = np.array([case.chexnet for case in part.readings.cases], np.float64)
            report[f"beside a public CheXNet, {words}"] = beside(part.told, theirs)
    return report


WHOLE = ("448 px images", "all")
"""Groups that get every operating point; the others get the balanced one."""


def groups(exam: Exam) -> dict[str, Flags]:
    """Part the images the way a model card shows them.

    A group by size of the lesion keeps all negatives.
    """
    cases = exam.readings.cases

    def those(wanted: object) -> Flags:
        return np.array(wanted, np.bool_)

    full = those([not case.small for case in cases])
    size = {fit.row: fit.share for fit in exam.fits}
    shares = np.array([size.get(row, -1.0) for row in range(len(cases))])
    negative = ~exam.told.truth
    found = {
        "448 px images": full,
        "448 px, no chest tube": full & ~those([case.chest_tube for case in cases]),
        **{f"448 px, {words}": full & keep for words, keep in parts_of(cases).items()},
        "448 px, small lesions": full & (negative | ((shares > 0) & (shares < SMALL))),
        "448 px, middle lesions": full & (negative | ((shares >= SMALL) & (shares < LARGE))),
        "448 px, large lesions": full & (negative | (shares >= LARGE)),
        "128 px thumbnails": ~full,
    }
    for source in dict.fromkeys(case.source for case in cases):
        found[f"labels: {source}"] = those([case.source == source for case in cases])
    return found | {"all": np.ones(len(cases), np.bool_)}


def _figures(manifest: ModelManifest, exam: Exam, prevalence: float, whole: bool) -> Figures:
    points = manifest.operating_points
    default = manifest.default_operating_point
    if whole:  # a site's own set may be small: its interval says so
        found = figures(exam.told, points, prevalence, least=1)
    else:
        found = figures(exam.told, {default.name: default}, prevalence)
    if exam.fits:
        owners = [exam.told.patients[fit.row] for fit in exam.fits]
        found["masks"] = len(exam.fits)
        found["dice"] = mean_of([fit.dice for fit in exam.fits], owners)
        found["iou"] = mean_of([fit.iou for fit in exam.fits], owners)
        lesions = sum(fit.lesions for fit in exam.fits)
        found["lesions found"] = f"{sum(one.met for one in exam.fits)} of {lesions}"
        found["wrong parts an image"] = round(sum(o.wrong for o in exam.fits) / len(exam.fits), 3)
    return found


def charts(exam: Exam) -> tuple[Chart, ...]:
    """Draw the curves of one group."""
    scored = np.array([case.chexnet is not None for case in exam.readings.cases])
    named = {"this model": exam.told}
    if scored.any():
        part = exam.only(scored)
        theirs = np.array([case.chexnet for case in part.readings.cases], np.float64)
        named["this model where CheXNet scored"] = part.told
        named["CheXNet"] = Scored(part.told.truth, theirs, part.told.patients)
    dices = sorted(fit.dice for fit in exam.fits)
    steps = [(value, (rank + 1) / len(dices)) for rank, value in enumerate(dices)]
    overlap = Chart("Dice", "Dice", "share of masks up to it", (Line("masks", steps),))
    curves = (roc_chart(named), precision_chart(named), calibration_chart({"": exam.told}))
    return (*curves, overlap) if steps else curves


def misses(manifest: ModelManifest, exam: Exam) -> list[Miss]:
    """Give the images whose probability is farthest from the truth."""
    gaps = np.abs(exam.told.truth - exam.told.probabilities)
    worst = [int(row) for row in np.argsort(-gaps, kind="stable")[:MISSES]]
    return [_miss(manifest, exam, row) for row in worst]


def _miss(manifest: ModelManifest, exam: Exam, row: int) -> Miss:
    case: Case = exam.readings.cases[row]
    truth = "pneumothorax" if case.present else "no pneumothorax"
    tube = ", chest tube" if case.chest_tube else ""
    words = f"{truth} ({case.source}), p={exam.told.probabilities[row]:.2f}, {case.view}{tube}"
    drawn = None if case.mask is None else open_mask(case.mask)
    shape = exam.readings.maps.shape[1:] if drawn is None else drawn.shape
    found = mask_at(exam.readings.maps[row], manifest.mask_threshold, shape)
    return Miss(case.image.name, words, case.image, drawn, found)
