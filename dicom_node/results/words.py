"""Findings in words that a person reads."""

from dicom_node.domain import codes
from dicom_node.domain.findings import Finding, Findings, Measurement, Presence, Side
from dicom_node.domain.study import Radiograph
from dicom_node.results.common import NOT_FOR_DIAGNOSIS, UNVERIFIED, operating_point

STATE = {
    Presence.PRESENT: "PRESENT",
    Presence.ABSENT: "not detected",
    Presence.UNDETERMINED: "undetermined",
}
SIDE = {
    Side.RIGHT: "right",
    Side.LEFT: "left",
    Side.BOTH: "right and left",
    Side.UNDETERMINED: "undetermined",
}


def number(value: float, places: int = 3) -> str:
    """Write a number without trailing zeros."""
    text = f"{value:.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def probability_and_threshold(finding: Finding) -> tuple[str, str]:
    """Write probability and threshold so that the texts compare as the values do.

    What is only unlikely is not written as 0, nor what is only likely as 1.
    """
    value, threshold = finding.probability, finding.operating_point.threshold
    precise = ((places, digits) for places in range(2, 6) for digits in range(2, places + 1))
    for places, digits in precise:
        said, limit = f"{value:.{places}f}", f"{threshold:.{digits}g}"
        same = (float(said) >= float(limit)) == (value >= threshold)
        if same and (float(said) in (0, 1)) == (value in (0, 1)):
            return said, limit
    return f"{value:.6f}", f"{threshold:.6g}"


def probability(finding: Finding) -> str:
    """Write the probability, in as many places as its threshold needs."""
    return probability_and_threshold(finding)[0]


def judged_at(finding: Finding) -> str:
    """Name the operating point for people."""
    return finding.operating_point.name.replace("_", " ")


def measurement(measured: Measurement) -> str:
    """Write a measurement with its name and unit, for example "area 3374 mm2"."""
    return f"{measured.name} {quantity(measured)}"


def quantity(measured: Measurement) -> str:
    """Write a measurement's value and unit."""
    unit = "" if measured.unit.value == "1" else f" {measured.unit.value.strip('{}')}"
    return amount(measured) + unit


def amount(measured: Measurement) -> str:
    """Write a measurement's value: ratios need more places than millimetres."""
    return number(measured.value, 3 if measured.unit.value == "1" else 1)


def headline(finding: Finding) -> str:
    """Say what and where in one line, for example "Pneumothorax: PRESENT, right, URGENT"."""
    said = [f"{finding.code.meaning}: {STATE[finding.presence]}"]
    if finding.presence is not Presence.ABSENT and finding.side is not Side.UNDETERMINED:
        said.append(SIDE[finding.side])
    return ", ".join([*said, "URGENT"] if finding.urgent else said)


def sentences(finding: Finding) -> list[str]:
    """Say all about one finding, a sentence a line."""
    said = [f"{finding.code.meaning}: {STATE[finding.presence]}"]
    if finding.presence is not Presence.ABSENT and has_side(finding):
        said.append(f"Side: {SIDE[finding.side]}")
    said.append(f"Probability {probability(finding)} ({operating_point(finding)})")
    said += [capital(measurement(measured)) for measured in finding.measurements]
    if finding.size_class:
        said.append(f"Size: {finding.size_class}")
    if finding.uncertainty is not None:
        said.append(capital(uncertainty(finding.uncertainty)))
    if finding.urgent:
        said.append("URGENT")
    return said


def uncertainty(deviation: float) -> str:
    """Say how far the models of an ensemble disagree."""
    return f"the models' probabilities deviate by {number(deviation, 2)}"


def has_side(finding: Finding) -> bool:
    """Say whether a finding can be on one side: not that of the heart or the whole chest."""
    return finding.site not in (codes.HEART, codes.CHEST)


def impression(finding: Finding) -> str:
    """Say the one line that a reader needs, for example in an ORU."""
    name = finding.code.meaning
    name = name[:1].lower() + name[1:]
    probability_and_threshold = f"(p={probability(finding)})"
    if finding.presence is Presence.ABSENT:
        return f"AI: no {name} detected {probability_and_threshold}."
    side = "side undetermined" if finding.side is Side.UNDETERMINED else SIDE[finding.side]
    verb = "suspected" if finding.presence is Presence.PRESENT else "cannot be excluded"
    return (
        f"AI: {name} {verb}, {side} {probability_and_threshold}."
        if has_side(finding)
        else f"AI: {name} {verb} {probability_and_threshold}."
    )


def algorithm(findings: Findings) -> str:
    """Name the algorithm, its version and its weights."""
    made_by = findings.algorithm
    weights = f", weights SHA-256 {made_by.model_sha256}" if made_by.model_sha256 else ""
    return f"{made_by.name} {made_by.version}{weights}"


def refusal(findings: Findings) -> str:
    """Say why a pipeline did not read the image."""
    return f"Not analysed by {findings.algorithm.name}: {findings.not_analysed}"


def remarks(radiograph: Radiograph | None, findings: tuple[Findings, ...]) -> list[str]:
    """Say what a reader must know beside the findings: limits, refusals, the notice."""
    said = [] if radiograph is None else list(radiograph.notes)
    for answer in findings:
        said += [refusal(answer)] if answer.not_analysed is not None else list(answer.notes)
    return [*dict.fromkeys(capital(note) for note in said), UNVERIFIED, NOT_FOR_DIAGNOSIS]


def abnormal_flag(finding: Finding) -> str:
    """Choose the flag of HL7 table 0078; an undetermined finding has none."""
    if finding.presence is Presence.ABSENT:
        return "N"
    if finding.presence is Presence.UNDETERMINED:
        return ""
    return "AA" if finding.urgent else "A"


def capital(text: str) -> str:
    """Start a sentence."""
    return text[:1].upper() + text[1:]
