"""Eight findings on frontal chest radiographs, with boxes."""
