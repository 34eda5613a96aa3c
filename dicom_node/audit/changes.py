"""Tells the audit trail what a person changes by a command."""

import os
import pwd
import time
from contextlib import closing

from dicom_node.audit import events
from dicom_node.audit.events import Code
from dicom_node.audit.node import opened
from dicom_node.settings.settings import Settings


def audit_change(settings: Settings, kind: Code, words: str) -> None:
    """Write who changed what, where a trail is kept; `words` name no patient."""
    with closing(opened(settings)) as told:
        if told.on:
            told.note(events.changed(told.here, _user(), kind, words, time.time()))


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container a number may be all there is
        return str(os.getuid())
