"""Whether an image is a frontal chest radiograph, upright and not inverted."""
