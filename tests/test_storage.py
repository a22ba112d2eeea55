"""Data and models through an S3-compatible server (moto's, on the loopback interface)."""

import shutil
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.helpers import commit, run

pytestmark = pytest.mark.slow


@pytest.fixture
def endpoint(monkeypatch):
    """The URL of a server that has the bucket `accent`; the keys are in the environment, as for any S3 client."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="accent")
        yield url
    finally:
        server.stop()


def outputs(project: Path) -> dict[str, bytes]:
    """What DVC keeps of a project: its data and its model."""
    folders = ("data/clips", "data/waveforms", "data/spectrograms")
    files = [path for folder in folders for path in (project / folder).iterdir()]
    files += [project / "data" / "splits.parquet", project / "models" / "accent.safetensors"]
    return {str(path.relative_to(project)): path.read_bytes() for path in files}


def test_data_and_model_come_back_from_s3_in_a_second_clone(trained, tmp_path, endpoint):
    project = tmp_path / "project"
    shutil.copytree(trained, project)
    run("dvc", "remote", "add", "-d", "storage", "s3://accent/storage", cwd=project)
    commit(project, "Results, and where they are stored")
    run("dvc", "remote", "modify", "--local", "storage", "endpointurl", endpoint, cwd=project)
    run("dvc", "push", "-q", cwd=project)

    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(project), str(clone), cwd=tmp_path)
    run("dvc", "remote", "modify", "--local", "storage", "endpointurl", endpoint, cwd=clone)
    run("dvc", "pull", "-q", cwd=clone)
    assert outputs(clone) == outputs(project)
    assert "Data and pipelines are up to date." in run("dvc", "status", cwd=clone).stdout
    assert "in sync" in run("dvc", "status", "-c", cwd=clone).stdout
