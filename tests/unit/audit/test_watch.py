from pathlib import Path
from threading import Event

from dicom_node.assembly import parts as node
from dicom_node.audit.events import Endpoint, application_activity
from dicom_node.audit.node import audited_role
from dicom_node.audit.trail import Place, Trail
from dicom_node.audit.watch import PATIENCE_S, audit_checks, audit_faults
from dicom_node.operations import alarms
from dicom_node.settings.settings import Settings
from dicom_node.storage.database.schema import alarms as rows
from tests.support.audit import SyslogServer
from tests.support.listeners import free_port


def to(settings: Settings, port: int) -> Settings:
    syslog = settings.audit.model_copy(update={"syslog": f"127.0.0.1:{port}"})
    return settings.model_copy(update={"audit": syslog})


def test_a_server_that_takes_nothing_is_an_alarm_after_a_while(settings: Settings) -> None:
    away = to(settings, free_port())
    with audited_role(away, "work"):
        pass
    now = (Path(settings.audit.file + ".sent")).stat().st_mtime
    assert list(audit_faults(away, now + PATIENCE_S / 2)) == []
    (words,) = audit_faults(away, now + PATIENCE_S + 1)
    assert "has taken no message" in words
    assert [one.ok for one in audit_checks(away)] == [True, False]
    parts = node.open_parts(away, migrate=True)
    alarms.watch_audit(parts, now + PATIENCE_S + 1)
    with parts.engine.connect() as conn:
        (raised,) = conn.execute(rows.select()).all()
    assert (raised.kind, raised.words) == ("audit_behind", words)
    parts.close()
    with SyslogServer() as server:
        back = to(settings, server.port)
        assert [one.ok for one in audit_checks(back)] == [True, True]
        with audited_role(back, "work"):
            pass
        assert list(audit_faults(back, now + 10 * PATIENCE_S)) == []


def test_a_log_that_cannot_be_written_is_told(settings: Settings) -> None:
    Path(settings.audit.file).mkdir(parents=True)
    (fault,) = audit_faults(settings, 0.0)
    assert "cannot be written" in fault
    assert [one.ok for one in audit_checks(settings)] == [False]
    with audited_role(settings, "work"):
        pass  # the node runs all the same


def test_nothing_is_watched_where_no_trail_is_kept(settings: Settings) -> None:
    off = settings.model_copy(update={"audit": settings.audit.model_copy(update={"file": ""})})
    assert (list(audit_checks(off)), list(audit_faults(off, 0.0))) == ([], [])


def test_a_log_that_cannot_be_written_does_not_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    trail, gathered = Trail(Place(tmp_path / "file" / "audit.log", "CXRAI@here")), Event()
    trail.gatherers.append(lambda _last: gathered.set())
    trail.note(application_activity(Endpoint("CXRAI"), "receive", 1e9, started=True))
    assert gathered.wait(5)
    trail.close()
