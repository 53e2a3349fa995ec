"""Dagster takes the committed ``dagster.yaml`` and ``workspace.yaml`` and reads them as they are meant."""

import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml


@pytest.fixture(scope="module")
def instance(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dg.DagsterInstance:
    """An instance made from the committed settings in a fresh home."""
    home = tmp_path_factory.mktemp("dagster")
    shutil.copy(root / "dagster.yaml", home)
    return dg.DagsterInstance.from_config(str(home))


def test_two_runs_at_a_time_and_no_pools(instance: dg.DagsterInstance) -> None:
    settings = instance.get_concurrency_config()
    assert settings.run_queue_config is not None
    assert settings.run_queue_config.max_concurrent_runs == 2
    assert settings.pool_config.default_pool_limit is None


def test_hanging_runs_end_and_failed_ones_are_not_retried(instance: dg.DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    assert instance.get_settings("run_monitoring")["max_runtime_seconds"] > 0
    assert instance.get_settings("run_retries")["retry_on_asset_or_op_failure"] is False


def test_nothing_is_sent_anywhere(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled


def test_ticks_are_not_kept_for_ever(instance: dg.DagsterInstance) -> None:
    assert set(instance.get_settings("retention")) == {"schedule", "sensor"}


def test_the_one_code_location_loads_from_anywhere(root: Path) -> None:
    (location,) = yaml.safe_load((root / "workspace.yaml").read_text())["load_from"]
    assert location["python_module"]["module_name"] == "pipelines.definitions"
    assert "working_directory" not in location["python_module"]
