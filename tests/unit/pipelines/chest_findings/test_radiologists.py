"""Figures against radiologists, on readings made by hand."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.chest_findings.cases import Case, mined_labels
from pipelines.chest_findings.codes import SCORES
from pipelines.chest_findings.evaluation import shifts
from pipelines.chest_findings.heads.evaluation import abnormality_figures, pneumonia_figures
from pipelines.chest_findings.radiologists import against_radiologists
from pipelines.chest_findings.readings import Readings
from pipelines.chest_findings.summary import LEAST_ALONE, as_radiologists_saw, best_known, mean_auc
from pipelines.datasets.hannover import read_elsewhere
from pipelines.datasets.truth import NODULE_OR_MASS, OPACITY, Reading
from pipelines.serving.labelled import LabelledManifest, load_labelled
from pipelines.tools.truth import weighed

MASS, PNEUMONIA = SCORES.index("Mass"), SCORES.index("Pneumonia")
FILMS = 40


@pytest.fixture
def manifest(models_dir: Path) -> LabelledManifest:
    return load_labelled(models_dir / "chest_findings")


def case(number: int, reading: Reading | None, view: str = "PA") -> Case:
    labels = mined_labels({"Mass"} if number % 2 else {"No Finding"})
    name = f"film-{number}"
    return Case(Path(f"{name}.png"), name, "test", "full", labels, view=view, reading=reading)


def readings(scores: np.ndarray, cases: list[Case]) -> Readings:
    labels = np.asarray([one.labels for one in cases], np.float64)
    return Readings(tuple(cases), labels, scores, np.zeros((len(cases), 8, 4, 4), np.float32))


def judged_films() -> Readings:
    """Radiologists see a mass on every fourth film, reports on every second; we side with them."""
    cases, scores = [], np.zeros((FILMS, len(SCORES)))
    for number in range(FILMS):
        mass = number % 4 == 0
        cases.append(
            case(
                number,
                Reading(
                    votes={"Mass": 0.6 if mass else 0.4},
                    adjudicated={NODULE_OR_MASS: mass},
                    teacher={"Mass": 0.9 if number % 4 == 1 else 0.1 + number / 1000},
                    rsna=OPACITY if number % 3 == 0 else "Normal",
                ),
            )
        )
        scores[number, MASS] = 3.0 if mass else -3.0
        scores[number, PNEUMONIA] = -1.0 if number % 3 == 0 else 1.0
    return readings(scores, cases)


def test_half_of_the_votes_make_a_finding() -> None:
    seen = as_radiologists_saw(judged_films()).labels
    assert seen[:5, MASS].tolist() == [1, 0, 0, 0, 1]
    assert seen[:4, PNEUMONIA].tolist() == [1, 0, 0, 1]
    assert np.isnan(seen[:, SCORES.index("Hernia")]).all()


def test_figures_follow_radiologists_not_reports(manifest: LabelledManifest) -> None:
    found = against_radiologists(manifest, judged_films(), 0.03)
    mass, pneumonia = found["Mass, radiologists"], found["Pneumonia, radiologists"]
    assert (mass["images"], mass["positive"]) == (FILMS, FILMS // 4)
    assert mass["auc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert pneumonia["auc"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    mean = found["mean over the eight findings, radiologists"]["mean AUC"]
    assert isinstance(mean, dict)
    assert (mean["value"], mean["findings"]) == (0.5, 2)
    assert found["adjudicated: nodule or mass"]["positive"] == FILMS // 4
    assert found["Nodule, radiologists"]["images"] == 0
    beside = found["Mass, beside CheXNet"]
    assert beside["this model"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert isinstance(beside["the other"], dict)
    assert beside["the other"]["value"] < 0.5
    means = found["mean of findings, beside CheXNet"]
    assert means["findings"] == 1
    assert means["difference (bootstrap)"]["low"] > 0  # type: ignore[index]


def test_without_radiologists_there_are_no_figures(manifest: LabelledManifest) -> None:
    films = readings(np.zeros((4, len(SCORES))), [case(number, None) for number in range(4)])
    assert against_radiologists(manifest, films, 0.03) == {}


def test_the_best_truth_is_a_radiologists_where_there_is_one() -> None:
    films = judged_films()
    unread = readings(np.zeros((2, len(SCORES))), [case(1, None), case(2, None)])
    both = Readings(
        films.cases + unread.cases,
        np.concatenate([films.labels, unread.labels]),
        np.concatenate([films.scores, unread.scores]),
        np.concatenate([films.maps, unread.maps]),
    )
    best = best_known(both).labels
    assert best[:FILMS, MASS].tolist() == as_radiologists_saw(films).labels[:, MASS].tolist()
    assert best[FILMS:, MASS].tolist() == [1, 0]  # too few films with a mass to speak alone
    many = Readings(
        both.cases * 3,
        *(np.concatenate([one] * 3) for one in (both.labels, both.scores, both.maps)),
    )
    assert 3 * FILMS // 4 >= LEAST_ALONE
    assert np.isnan(best_known(many).labels[FILMS : FILMS + 2, MASS]).all()


def test_a_mean_needs_no_film_with_every_label() -> None:
    films = as_radiologists_saw(judged_films())
    films.labels[: FILMS // 2, PNEUMONIA] = np.nan
    films.labels[FILMS // 2 :, MASS] = np.nan
    mean = mean_auc(films)
    assert isinstance(mean, dict)
    assert (mean["value"], mean["findings"]) == (0.5, 2)


def test_a_shift_is_told_by_view(manifest: LabelledManifest) -> None:
    here = judged_films()
    cases = tuple(replace(one, view="AP", reading=None) for one in here.cases)
    away = replace(here, cases=cases, scores=here.scores + 20)
    found = shifts(manifest, here, away)
    assert found["called present, another hospital, AP"]["Mass"] == 1
    assert found["called present, this data set, PA"]["images"] == FILMS
    assert found["called present, this data set, PA"]["Mass"] == 0.25
    assert "called present, this data set, AP" not in found


def test_films_of_another_hospital_are_those_nobody_learned_from(tmp_path: Path) -> None:
    assert read_elsewhere(tmp_path) == ()
    (tmp_path / "cxr").mkdir()
    with (tmp_path / "cxr" / "hannover.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "patient_id", "projection", "sex", "in_shared_lungs"])
        table.writerow(["hannover/a.jpg", "7", "ap", "f", "0"])
        table.writerow(["hannover/b.jpg", "8", "pa", "m", "1"])
    (film,) = read_elsewhere(tmp_path)
    assert (film.image.name, film.view, film.sex) == ("a.jpg", "AP", "F")


def test_the_heads_are_judged_by_radiologists_too(models_dir: Path) -> None:
    films = judged_films()
    pneumonia = pneumonia_figures(load_labelled(models_dir / "pneumonia"), films, 0.03)
    found = pneumonia["opacity, RSNA's radiologists"]
    assert found["positive"] == len([number for number in range(FILMS) if number % 3 == 0])
    assert found["auc"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert "opacity, RSNA's radiologists, AP" not in pneumonia
    abnormal = abnormality_figures(load_labelled(models_dir / "abnormality"), films, 0.03)
    assert abnormal["not normal, RSNA's radiologists, PA"]["images"] == FILMS


def test_the_manifest_names_every_labels_source() -> None:
    films = judged_films()
    lines = list(weighed([films.cases[0], case(1, None)]))
    assert len(lines) == len(SCORES) - 1  # a child's pneumonia is no label of an adult
    mass = next(line for line in lines if line[3] == "Mass")
    assert mass == ("film-0.png", "film-0", "test", "Mass", 0.6, 4.0, "votes of radiologists")
