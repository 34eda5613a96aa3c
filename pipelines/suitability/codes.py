"""The words that this task declines with."""

from dicom_node.domain.codes import PLAIN_CHEST_XRAY

CODE = PLAIN_CHEST_XRAY

FRONTAL, UPRIGHT, NOT_INVERTED = "frontal", "upright", "not_inverted"
"""The operating points: each a least probability of what a suitable image is."""

INVERTED = "grey levels are inverted"


def not_frontal(probability: float) -> str:
    """Say that the image shows something else."""
    return f"not a frontal chest radiograph (p={probability:.2f})"


def rotated(degrees: int) -> str:
    """Say how far the image was turned, counterclockwise."""
    return f"image is rotated by {degrees} degrees"
