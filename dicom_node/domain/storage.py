"""Where an archive outside this machine is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of an S3 store, how to reach it, and the folder in it that is ours."""

    name: str
    prefix: str = ""
    endpoint: str = ""
    """"": Amazon's own, by region."""
    region: str = "us-east-1"
    credentials_file: str = ""
    """"": from the environment, or the machine's role."""
    ca_file: str = ""
    """Who signs the endpoint's certificate, besides the system's authorities; "": none."""

    @property
    def url(self) -> str:
        """The bucket in words, without anything secret."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")
