"""The credentials of an S3 store, from a file or the environment."""

import configparser
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.domain.errors import BadSettings

if TYPE_CHECKING:  # the library has this type for checkers only
    from obstore.store import S3Credential

REREAD_S = 300
"""How soon a changed file is taken up."""
FROM_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class FileCredentials:
    """Reads a file in the form of ~/.aws/credentials again and again.

    The last good content serves while the file cannot be read, as when it is being
    written. Raises BadSettings when it is not good at the start.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._last = _read(path)

    def __call__(self) -> "S3Credential":
        """Give what holds until it is read again."""
        with suppress(BadSettings):
            self._last = _read(self._path)
        key, secret, token = self._last
        until = datetime.now(UTC) + timedelta(seconds=REREAD_S)
        return {
            "access_key_id": key,
            "secret_access_key": secret,
            "token": token,
            "expires_at": until,
        }


def require_credentials(endpoint: str) -> None:
    """Raise BadSettings where none can be: machines have roles at Amazon only."""
    if endpoint and not any(os.environ.get(name) for name in FROM_ENVIRONMENT):
        raise BadSettings(
            "archive.credentials_file is empty: name a file, or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment"
        )


def _read(path: str) -> tuple[str, str, str | None]:
    """Give access key, secret key and session token of the section [default]."""
    file = configparser.ConfigParser(interpolation=None)
    try:
        with Path(path).open(encoding="utf-8") as opened:
            file.read_file(opened)
        section = file["default"]
        return (
            section["aws_access_key_id"],
            section["aws_secret_access_key"],
            section.get("aws_session_token"),
        )
    except OSError as error:
        words = error.strerror or "cannot be read"
        raise BadSettings(f"archive.credentials_file {path}: {words}") from None
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise BadSettings(
            f"archive.credentials_file {path}: needs a section [default] with "
            "aws_access_key_id and aws_secret_access_key"
        ) from None
