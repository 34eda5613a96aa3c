"""From a radiograph to the network's input: the shared square."""

from pipelines.chest_findings.preprocess import (
    Geometry,
    box_to_stored,
    network_input,
    square,
    standard_from_network,
)

__all__ = ["Geometry", "box_to_stored", "network_input", "square", "standard_from_network"]
