"""Colours that colour-blind people tell apart."""

RGB = tuple[int, int, int]

# the palette of M. Okabe and K. Ito, without black and what is dark on a radiograph
CONTOURS: tuple[RGB, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (204, 121, 167),
    (0, 158, 115),
    (213, 94, 0),
)


def colour_of(index: int) -> RGB:
    """Give the colour of the segment with this index (0 is the first)."""
    return CONTOURS[index % len(CONTOURS)]


def cielab(colour: RGB) -> list[int]:
    """Convert sRGB to PCS values of CIELab, D50, 16 bit (PS3.3 C.10.7.1.1)."""
    red, green, blue = (_linear(channel / 255) for channel in colour)
    # sRGB to XYZ, adapted to D50 and divided by that white
    x = (0.4360747 * red + 0.3850649 * green + 0.1430804 * blue) / 0.9642
    y = 0.2225045 * red + 0.7168786 * green + 0.0606169 * blue
    z = (0.0139322 * red + 0.0971045 * green + 0.7141733 * blue) / 0.8251
    fx, fy, fz = _cube(x), _cube(y), _cube(z)
    lightness, a, b = 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
    return [
        round(lightness * 65535 / 100),
        round((a + 128) * 65535 / 255),
        round((b + 128) * 65535 / 255),
    ]


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _cube(ratio: float) -> float:
    return ratio ** (1 / 3) if ratio > 216 / 24389 else (24389 / 27 * ratio + 16) / 116
