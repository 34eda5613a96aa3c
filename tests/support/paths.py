"""Where the repository, its shared data and its fetched programs lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("DICOM_NODE_SHARED", ROOT.parent / "shared"))
S3RVER = ROOT / "build/s3/node_modules/s3rver/bin/s3rver.js"
