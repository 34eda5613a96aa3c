"""STOW-RS in and out, WADO-RS and QIDO-RS as a client."""
