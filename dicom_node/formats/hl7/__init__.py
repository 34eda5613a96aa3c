"""HL7 v2 messages as text and segments."""
