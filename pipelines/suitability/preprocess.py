"""From a radiograph to the network's input: the square of the other tasks."""

from pipelines.anatomy.preprocess import network_input, open_square, refuse_empty, square

__all__ = ["network_input", "open_square", "refuse_empty", "square"]
