"""Storage commitment is stated where it is set, and nowhere else."""

from dicom_node.domain.exchange.commitment import PUSH_MODEL
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
    lost = lookup(table(page, "Results that the peer does not commit to"), value=2)
    follows = [lost[code] for code in ("0112", "0131", "0119")]  # sent again, asked, given up
    assert len(set(follows)) == 3


def test_integration_statements_claim_the_transaction(configure: Configure) -> None:
    page = ihe(configure(peer="storage_commitment = true"))
    assert "without Storage Commitment" not in str(page)
    assert "N-ACTION" in str(page)
