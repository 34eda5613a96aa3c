"""Make the pictures of the documents from phantoms: `make pictures`.

The pictures are results of the shipped models, written by `dicom-node analyze`: the
overlay (Secondary Capture) as JPEG, the first page of the PDF report by pdftoppm.
"""

import subprocess
import tempfile
from pathlib import Path

from PIL import Image
from pydicom import dcmread

from dicom_node.commands import cli
from dicom_node.commands.demo.phantom import phantom_dx

FOLDER = Path(__file__).resolve().parents[1] / "pictures"
MADE_AT = 1_767_348_672.0
"""The date that the phantoms bear (POSIX s)."""
PHANTOMS = {
    "negative": ("none", 1, ()),
    # a phantom's collapsed lung misleads the outline of the heart: it is shown by its own task
    "pneumothorax": ("right", 2, ("--pipeline", "pneumothorax")),
}
"""Side of the pneumothorax, the phantom's seed, and what reads it."""
WIDTH, QUALITY = 1000, 74


def main() -> None:
    """Read the phantoms and write a picture of each result."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, (side, seed, by) in PHANTOMS.items():
            film = folder / f"{what}.dcm"
            ds = phantom_dx(seed, side, made_at=MADE_AT, rows=1024, columns=1024)
            ds.save_as(film, enforce_file_format=True)
            cli.main(["analyze", str(film), "--out", str(folder / "results"), *by])
        for what in PHANTOMS:
            made = folder / "results" / what
            _save(Image.fromarray(dcmread(made / "sc.dcm").pixel_array), f"overlay-{what}")
        _save(_first_page(folder / "results" / "pneumothorax" / "pdf.dcm", folder), "report")


def _first_page(report: Path, folder: Path) -> Image.Image:
    """Draw the first page of an Encapsulated PDF."""
    (folder / "report.pdf").write_bytes(dcmread(report).EncapsulatedDocument)
    command = ["pdftoppm", "-r", "110", "-singlefile", "-png", "report.pdf", "page"]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - poppler's own tool
    return Image.open(folder / "page.png")


def _save(picture: Image.Image, name: str) -> None:
    picture = picture.convert("RGB")
    picture.thumbnail((WIDTH, 2 * WIDTH))
    picture.save(FOLDER / f"{name}.jpg", quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
