"""Files by content: a folder, S3, sealed."""
