"""Judges an HL7 v2 message by hl7apy's strict validation."""

import re

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from dicom_node.domain.errors import GiveUp

# hl7apy takes ED-5 for an ST of 199 characters; the standard sets no such limit (chapter 2A)
EMBEDDED = re.compile(r"(\^Base64\^)[A-Za-z0-9+/=]+")


def judge(message: str) -> str:
    """Say in words that a message (CR after each segment) is valid; else raises GiveUp."""
    version = message.partition("\r")[0].split("|")[11]
    try:
        shown = EMBEDDED.sub(r"\1AAAA", message)
        parse_message(shown, validation_level=VALIDATION_LEVEL.STRICT).validate()
    except (HL7apyException, ValueError) as error:
        # the message may quote a value, so a patient
        raise GiveUp(f"no valid HL7 {version} message: {type(error).__name__}") from error
    return f"valid HL7 {version} (strict)"
