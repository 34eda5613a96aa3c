"""Asking stays cheap however many objects are committed."""

from pathlib import Path

from sqlalchemy.dialects import sqlite

from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.commitments import due


def test_what_is_due_is_found_by_its_index(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/node.db")
    migrate(engine)
    sql = str(due("pacs", 1.0).limit(1).compile(dialect=sqlite.dialect()))
    with transaction(engine, writing=False) as conn:
        asked = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?"))
        steps = [step.detail for step in asked]
    engine.dispose()
    assert "USING INDEX commitments_open (destination=? AND due_at<?)" in steps[0]
    assert not any("TEMP B-TREE" in step for step in steps)
