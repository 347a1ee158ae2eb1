"""The tree of files that an archive's address leads to."""

from __future__ import annotations

from pathlib import Path

from catalog.errors import RequestError
from catalog.guards.paths import user_path
from catalog.storage.bucket_files import BucketFiles
from catalog.storage.credentials import Credentials
from catalog.storage.file_trees import Files, LocalFiles
from catalog.storage.s3 import split_address


def open_files(address: str, credentials: Credentials) -> Files:
    """The tree at a path of this machine or at s3://bucket/prefix. Raises `RequestError` where nothing is, or of another kind."""
    if address.startswith("s3://"):
        return BucketFiles(address, credentials.of_bucket(split_address(address)[0]))
    if "://" in address:
        raise RequestError(f"{address}: products are read from a folder or from s3://bucket/prefix.")
    if not address.strip():
        raise RequestError("the path of a folder of products is empty. Give one, e.g. safe:archive.")
    folder = user_path(address, lambda why: RequestError(f"{why}. Give the path of a folder of products."))
    if not folder.is_dir():
        raise RequestError(f"no folder {folder}. Relative paths start in {Path.cwd()}.")
    return LocalFiles(folder)
