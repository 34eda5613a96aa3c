"""Notes the commit in a wheel; all else about the build stands in pyproject.toml."""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))

from dicom_node import share


class NotedCommit(build_py):
    """Builds without what an earlier build left, and writes the commit down."""

    def run(self) -> None:
        """Copy the packages and their files."""
        if self.editable_mode:  # then git is asked when the program runs
            return super().run()
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        noted = Path(self.build_lib, share.COMMIT.relative_to(share.FOLDER.parents[1]))
        noted.write_text(share.commit(), encoding="utf-8")


setup(cmdclass={"build_py": NotedCommit}, options={"build": {"build_base": "build/wheel"}})
