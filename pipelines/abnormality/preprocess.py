"""From a radiograph to the network's input: the shared square."""

from pipelines.chest_findings.preprocess import Geometry, network_input, square

__all__ = ["Geometry", "network_input", "square"]
