r"""The view of a radiograph, from words or codes.

View Position (0018,5101) has defined terms, not enumerated ones (PS3.3 C.8.1.1,
C.8.11.5), and in practice free text: `AP ERECT`, `P.A.`, `PA\\PA`, `Mobile AP`.
"""

import re

VIEW_OF_CODE = {
    "272479007": "PA",
    "R-10214": "PA",
    "R-40888": "PA",
    "399348003": "AP",
    "R-10206": "AP",
    "399173006": "LL",
    "R-10236": "LL",
    "399198007": "RL",
    "R-10232": "RL",
    "399033003": "",  # "frontal" may be either
    "R-10202": "",
}
"""Codes of the view (CID 4010), SCT and its older SRT names."""

_SPELT_OUT = (
    (re.compile(r"POSTER(?:O|IOR)[\s_-]*(?:TO[\s_-]*)?ANTERIOR"), "PA"),
    (re.compile(r"ANTER(?:O|IOR)[\s_-]*(?:TO[\s_-]*)?POSTERIOR"), "AP"),
)
_NOT_FRONTAL = {
    "LL": "LL", "LLAT": "LL", "RL": "RL", "RLAT": "RL", "LAT": "LATERAL", "LATERAL": "LATERAL",
    "LATERALLY": "LATERAL", "OBL": "OBLIQUE", "OBLIQUE": "OBLIQUE", "LAO": "LAO", "RAO": "RAO",
    "LPO": "LPO", "RPO": "RPO", "LLO": "LLO", "RLO": "RLO", "LLD": "LLD", "RLD": "RLD",
    "DECUBITUS": "DECUBITUS", "DECUB": "DECUBITUS", "LORDOTIC": "LORDOTIC",
}  # fmt: skip
_FRONTAL = {"FRONTAL", "FRONT"}
_SAYS_NOTHING = {
    "CHEST", "THORAX", "LUNG", "ERECT", "UPRIGHT", "STANDING", "SITTING", "SUPINE", "PRONE",
    "SEMI", "PORTABLE", "MOBILE", "BEDSIDE", "BED", "VIEW", "SINGLE", "W", "GRID", "UNKNOWN",
}  # fmt: skip
NOT_FRONTAL = frozenset(_NOT_FRONTAL.values())
"""Views that no pipeline reads."""


def view_of(words: str) -> str:
    """Give PA, AP, a view of NOT_FRONTAL, "" for frontal or unsaid, else the words.

    One word that is not frontal outweighs the others. Both directions, or words
    about posture alone, leave the direction open.
    """
    plain = words.upper().replace(".", "").strip()
    for spelt_out, term in _SPELT_OUT:
        plain = spelt_out.sub(term, plain)
    tokens = [token for token in re.split(r"[^A-Z0-9]+", plain) if token]
    for token in tokens:
        if token in _NOT_FRONTAL:
            return _NOT_FRONTAL[token]
    directions = {token for token in tokens if token in ("PA", "AP")}
    if len(directions) == 1:
        return directions.pop()
    if directions or _FRONTAL & set(tokens) or all(token in _SAYS_NOTHING for token in tokens):
        return ""
    return plain
