"""Readers of the formats that chest radiograph sets come in."""
