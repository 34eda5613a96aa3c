"""Findings as HL7 and FHIR."""
