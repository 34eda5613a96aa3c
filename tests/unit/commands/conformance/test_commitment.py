"""Storage commitment is stated where it is set, and nowhere else."""

from dicom_node.domain.exchange.commitment import EVENT_STATUSES, PUSH_MODEL, REASONS
from tests.support.statements import Configure, dicom, ihe, lookup, table


def test_it_follows_the_configuration(configure: Configure) -> None:
    plain, asking = configure(), configure(peer="storage_commitment = true")
    titles = [section.title for _, _, section in dicom(plain).numbered()]
    assert "Storage commitment" not in titles
    assert PUSH_MODEL not in str(dicom(plain))
    page = dicom(asking)
    assert ("Storage Commitment Push Model", PUSH_MODEL, "yes", "no") in [
        (row[0].removesuffix(" SOP Class"), *row[1:])
        for row in table(page, "Network services").rows
    ]
    assert table(page, "Peers that are asked").rows == (("pacs", "PACS", "3600 s"),)
    lost = lookup(table(page, "Results that the peer does not commit to"))
    assert {f"{code:04X}" for code in REASONS} | {"any other"} == set(lost)
    assert {f"{code:04X}" for code in EVENT_STATUSES} == set(
        lookup(table(page, "Answers to N-EVENT-REPORT"))
    )


def test_integration_statements_claim_the_transaction(configure: Configure) -> None:
    page = ihe(configure(peer="storage_commitment = true"))
    assert "without Storage Commitment" not in str(page)
    assert "N-ACTION" in str(page)
