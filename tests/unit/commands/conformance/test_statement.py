"""Statements say what configuration and code say, and can be read."""

import ast
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dicom_node.commands import cli
from dicom_node.commands.conformance import facts, printed, tables
from dicom_node.commands.conformance.document import Table
from dicom_node.commands.conformance.document import page as document_page
from dicom_node.domain import codes, reception
from dicom_node.domain.exchange import commitment
from dicom_node.domain.reception import STORE_STATUSES
from dicom_node.network.dicomweb import store
from dicom_node.settings.settings import load_settings
from tests.support.paths import ROOT
from tests.support.statements import Configure, dicom, ihe, lookup, table


class Reader(HTMLParser):
    """Collects text, and checks that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not any(name in ("src", "onload") for name, _ in attrs), "loads from elsewhere"
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> str:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert {"table", "nav", "main"} <= set(reader.seen)
    return " ".join(reader.text)


def test_the_chapters_of_ps3_2_are_there(configure: Configure) -> None:
    titles = [section.title for _, depth, section in dicom(configure()).numbered() if depth == 1]
    assert titles == [
        "Overview",
        "Introduction",
        "Networking",
        "Media interchange",
        "Support of character sets",
        "Security",
        "Annexes",
    ]


def test_the_page_is_sound_and_holds_every_cell(configure: Configure) -> None:
    document = dicom(configure())
    text = read(document_page(document))
    assert "A & B <Clinic>" in text
    for _, _, section in document.numbered():
        assert section.title in text
        for one in section.content:
            cells = [one] if isinstance(one, str) else [c for row in one.rows for c in row]
            assert all(cell in text for cell in cells)
            # words for people: no mark-up, no value as Python writes it
            assert not [cell for cell in cells if "`" in cell or "['" in cell]


def test_every_row_has_its_cells(configure: Configure) -> None:
    settings = configure()
    for document in (dicom(settings), ihe(settings)):
        for _, _, section in document.numbered():
            for one in section.content:
                if isinstance(one, Table):
                    assert {len(row) for row in one.rows} <= {len(one.head)}, one.title


def test_the_command_writes_both_as_html_and_pdf(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()
    out = tmp_path / "out"
    assert cli.main(["conformance", "-c", str(tmp_path / "node.toml"), "--out", str(out)]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        f"{kind}-conformance.{suffix}" for kind in ("dicom", "ihe") for suffix in ("html", "pdf")
    ]
    assert capsys.readouterr().out.count(str(out)) == 4
    paper = out / "dicom-conformance.pdf"
    assert paper.read_bytes().startswith(b"%PDF-")
    if shutil.which("pdftotext"):
        ran = subprocess.run(["pdftotext", paper, "-"], capture_output=True, text=True, check=True)
        for words in ("DICOM Conformance Statement", "CONFORM", "1.2.840.10008.5.1.4.1.1.66.4"):
            assert words in ran.stdout


def test_the_same_configuration_gives_the_same_pages(configure: Configure) -> None:
    document = ihe(configure())
    assert printed.page(document) == printed.page(document)
    assert document_page(document) == document_page(document)


def test_every_code_of_a_result_is_in_the_annex(configure: Configure) -> None:
    settings = configure()
    known = {(one.value, one.scheme) for one in codes.CONCEPTS}
    for made in facts.results(settings):
        assert facts.coded_in(made.ds) <= known, made.form
    document = dicom(settings)
    shown = [row[0] for row in table(document, "99CXRAI").rows]
    assert shown == [one.value for one in codes.CONCEPTS if one.scheme == "99CXRAI"]
    assert {"CTR", "PROB-SD"} <= set(shown)
    assert ("36118008", "Pneumothorax", "yes") in table(document, "SCT").rows


def test_templates_are_those_of_the_reports(configure: Configure) -> None:
    rows = table(dicom(configure()), "Templates").rows
    assert ("sr (comprehensive)", "TID 1500", "root") in rows
    assert {"TID 1501", "TID 1410", "TID 2000", "TID 2010"} <= {row[1] for row in rows}
    by_rows = {(row[0], row[1]) for row in rows if row[2] == "included, by its rows"}
    assert {("sr (comprehensive)", f"TID {one}") for one in (1204, 1600, 1601, 1602)} <= by_rows
    assert ("text_sr", "TID 1204") in by_rows
    assert ("text_sr", "TID 1600") not in by_rows


def test_what_follows_an_answer_is_stated(configure: Configure) -> None:
    said = {row[0]: row[2] for row in next(t for t in _answers(configure) if len(t.head) == 3).rows}
    assert said["0000"] == facts.ARRIVED
    assert said["A700-A7FF"] == facts.AGAIN
    assert said["0122"] == facts.PLAINER
    assert said["C000-CFFF"] == said["any other"] == facts.DEAD


def _answers(configure: Configure) -> list[Table]:
    return [
        one
        for _, _, section in dicom(configure()).numbered()
        for one in section.content
        if isinstance(one, Table) and one.title == "Answers to C-STORE"
    ]


def test_attributes_that_decide_are_found_by_watching() -> None:
    looked = facts.looked_at()
    assert {"Modality", "BodyPartExamined", "ViewPosition", "PatientOrientation"} <= set(looked)
    assert {"PixelSpacing", "ImagerPixelSpacing", "BurnedInAnnotation"} <= set(looked)
    assert "PatientName" not in looked


def test_only_what_is_there_is_claimed(configure: Configure) -> None:
    actors = {(row[0], row[1]): row[2] for row in table(ihe(configure()), "Profiles").rows}
    assert actors["AI Results (AIR)", "Evidence Creator"] == "partly"
    assert actors["AI Workflow (AIW-I)", "Task Performer"] == "no"
    done = {row[0]: row[1] for row in table(ihe(configure()), "Transactions").rows}
    assert done["Evidence Documents Stored [RAD-43]"] == "yes"
    assert done["Storage Commitment [RAD-10]"] == "no"
    answers = {row[0]: row[1] for row in table(ihe(configure()), "Answers to a message").rows}
    assert answers["AA, CA"] == facts.ARRIVED
    assert answers["AE, CE"] == facts.DEAD
    assert answers["AR, CR"] == answers["another, none in time"] == facts.AGAIN
    kinds = {row[0]: row[1] for row in table(ihe(configure()), "Kinds of results").rows}
    assert (kinds["Regions"], kinds["Locations"], kinds["Parametric maps"]) == ("yes", "yes", "no")


def test_a_node_that_sends_nothing_claims_nothing(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text("")
    settings = load_settings(config)
    read(document_page(dicom(settings)))
    done = {row[0]: row[1] for row in table(ihe(settings), "Transactions").rows}
    assert done["Creator Images Stored [RAD-18]"] == "no"
    claims = {(row[0], row[1]): row[2] for row in table(ihe(settings), "Profiles").rows}
    assert claims["AI Results (AIR)", "Evidence Creator"] == "no"
    services = {row[1]: row[2] for row in table(dicom(settings), "Network services").rows}
    assert "1.2.840.10008.5.1.4.1.1.66.4" not in services


def test_web_services_follow_the_configuration(configure: Configure) -> None:
    off = document_page(dicom(configure()))
    assert "none is configured" in off
    assert "does not listen" in off
    more = '[dicomweb]\nport = 8443\n[[stow]]\nname = "cloud"\nurl = "https://c.example/dw"'
    on = document_page(dicom(configure(more)))
    assert "https://c.example/dw" in on
    assert "127.0.0.1:8443/studies" in on
    assert "C122" in on
    assert "none is configured" not in on


def test_tls_is_stated_as_it_is_set(configure: Configure) -> None:
    plain = table(dicom(configure()), "Security profiles").rows
    assert ("Secure transport connection", "not used: tls.mode = off") in plain
    more = '[tls]\nmode = "mutual"\ncertificate = "c.pem"\nkey = "k.pem"\nca = "a.pem"'
    document = dicom(configure(more, "tls = true"))
    assert ("Node authentication", "both sides show a certificate") in table(
        document, "Security profiles"
    ).rows
    assert ("pacs", "DICOM", "an authority's") in table(document, "Called over TLS").rows
    suites = lookup(table(document, "Cipher suites"))
    assert suites["TLS_AES_256_GCM_SHA384"] == "TLSv1.3"
    assert set(suites.values()) == {"TLSv1.2", "TLSv1.3"}
    assert not any("CBC" in name or name.startswith("AES") for name in suites)


def refusals() -> set[str]:
    """Name the statuses with which the code refuses, by its own text."""
    calls = (
        node
        for path in (ROOT / "dicom_node").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    return {
        ast.unparse(call.args[0])
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "Refused" and call.args
    }


def test_no_status_is_answered_that_the_statement_lacks() -> None:
    names = refusals()
    assert {"CANNOT_UNDERSTAND", "DATA_SET_DOES_NOT_MATCH", "OUT_OF_RESOURCES"} <= names
    known = {**vars(commitment), **vars(reception), **vars(store)}
    listed = {**STORE_STATUSES, **tables.STOW_REASONS, **commitment.EVENT_STATUSES}
    assert {name for name in names if known.get(name) not in listed} == set()
