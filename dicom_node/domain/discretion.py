"""Leaves out what may name a patient."""

from dataclasses import replace

from dicom_node.domain.census import Census
from dicom_node.domain.work import QUOTED


def without_quotes(census: Census) -> Census:
    """Drop what destinations said in their own words about dead letters."""
    letters = tuple(
        replace(one, words=one.words.partition(QUOTED)[0]) for one in census.dead_letters
    )
    return replace(census, dead_letters=letters)
