"""Inputs that are well formed and say anything: only refusals come out."""

from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom_node.domain.errors import BadSettings, NotAnalysable
from dicom_node.domain.exchange.orders import MessageRefused
from dicom_node.formats.hl7.segments import envelope_of
from dicom_node.network.hl7.acknowledgement import acknowledgement
from dicom_node.network.hl7.orders import parse
from dicom_node.settings.settings import Settings, load_settings
from tests.support.encoded import CHEST, explicit
from tests.support.headers import describe_bytes
from tests.support.order_messages import PID, message, msh
from tests.support.raw_scu import EXPLICIT

VRS = st.sampled_from([b"CS", b"IS", b"DS", b"LO", b"PN", b"UI", b"US", b"SS", b"SQ", b"UN", b"??"])
ELEMENTS = st.dictionaries(
    st.sampled_from(sorted(CHEST)), st.tuples(VRS, st.binary(max_size=40)), max_size=6
)
VALUES = st.recursive(
    st.one_of(
        st.integers(), st.floats(), st.booleans(), st.sampled_from(["", "x", "*", "10.0.0.1"])
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
KEYS = [
    (section, key)
    for section, field in Settings.model_fields.items()
    for key in getattr(field.annotation, "model_fields", {})
]


@settings(max_examples=150, deadline=None)
@given(ELEMENTS)
def test_any_value_in_any_element_of_a_header(changes: dict[int, tuple[bytes, bytes]]) -> None:
    # where no VR is one, the encoding is taken for implicit
    odd = {0x00080018, 0x00080060} & set(changes) or any(vr == b"??" for vr, _ in changes.values())
    with suppress(NotAnalysable):
        instance = describe_bytes(explicit(CHEST | changes), EXPLICIT)
        assert odd or (instance.modality, instance.ref.sop_instance_uid) == ("CR", "1.2.3")


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=3, unique_by=lambda one: one[0]))
def test_any_value_of_any_key(tmp_path: Path, said: list[tuple[tuple[str, str], object]]) -> None:
    lines: dict[str, list[str]] = {}
    for (section, key), value in said:
        lines.setdefault(section, [f"[{section}]"]).append(f"{key} = {_toml(value)}")
    path = tmp_path / "node.toml"
    path.write_text("\n".join(line for section in lines.values() for line in section))
    with suppress(BadSettings):
        load_settings(path)


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value).lower() if isinstance(value, bool | float) else repr(value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=30), min_size=1, max_size=4))
def test_any_segments_of_an_order_are_answered(segments: list[str]) -> None:
    content = message(msh("ORM^O01", "2.3"), PID, *segments, encoding="latin-1")
    envelope = envelope_of(content)
    fault = None
    try:
        parse(content, envelope)
    except MessageRefused as refusal:
        fault = refusal.fault
    answer = acknowledgement(envelope, fault, 1.0)
    assert answer is not None and b"|M1" in answer
