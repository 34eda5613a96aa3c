"""Outlines of lungs and heart, and the cardiothoracic ratio."""
