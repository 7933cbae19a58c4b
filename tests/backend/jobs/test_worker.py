"""The protocol of one real worker process, spoken by hand."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from backend.cache import Cache, key_of
from backend.core.errors import BundleError, Fault, JobError
from backend.core.home import PROJECT
from backend.jobs import worker

KEY = key_of("t", "", {}, 1)


@pytest.fixture
def process(tmp_path):
    (tmp_path / "scratch").mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "backend.jobs.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        start_new_session=True,
    ) as running:
        assert json.loads(running.stdout.readline()) == {"type": "ready"}
        yield running
        running.kill()


def say(process, **message):
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def order(process, home, task, number="1", **options):
    say(
        process,
        id=number,
        task=task,
        entry=f"tests.backend.jobs.sample_tasks:{task}",
        digest="",
        options=options,
        home=str(home),
        key=KEY,
        scratch=str(home / "scratch"),
    )


def hear(process, *types):
    """Messages up to the first of one of these types."""
    heard = []
    while not heard or heard[-1]["type"] not in types:
        heard.append(json.loads(process.stdout.readline()))
    return heard


def test_a_result_goes_to_the_cache(process, tmp_path):
    order(process, tmp_path, "echo", a=1)
    assert hear(process, "done")[-1] == {"id": "1", "type": "done"}
    entry = Cache(tmp_path).read(KEY)
    np.testing.assert_array_equal(entry["numbers"], np.arange(4))
    assert entry.meta["options"] == {"a": 1}


def test_cancel_reaches_running_work_and_only_that(process, tmp_path):
    order(process, tmp_path, "patient", until=str(tmp_path / "never"), parts=1)
    heard = hear(process, "progress")
    assert heard[:2] == [
        {"id": "1", "type": "begun"},
        {"id": "1", "type": "part", "name": "part-00000"},
    ]
    assert (tmp_path / "scratch" / "part-00000" / "index.npy").exists()
    say(process, cancel="2")
    say(process, cancel="1")
    assert hear(process, "cancelled")[-1]["id"] == "1"
    order(process, tmp_path, "echo", number="3")
    assert hear(process, "done")[-1]["id"] == "3"
    assert Cache(tmp_path).read(KEY) is not None


def test_what_work_prints_stays_out_of_the_protocol(process, tmp_path):
    order(process, tmp_path, "chatty")
    assert hear(process, "done", "failed") == [
        {"id": "1", "type": "begun"},
        {"id": "1", "type": "done"},
    ]


def test_preloading_what_is_not_there_does_no_harm(process, tmp_path):
    say(process, preload=["json", "no_such_module"])
    order(process, tmp_path, "echo")
    hear(process, "done")


@pytest.mark.parametrize(
    "entry", ["tests.backend.jobs.sample_tasks:absent", "tests.backend.jobs.sample_tasks"]
)
def test_an_entry_that_is_no_function_is_told(process, tmp_path, entry):
    say(process, id="1", task="t", entry=entry, digest="", options={}, home=str(tmp_path), key=KEY,
        scratch=str(tmp_path / "scratch"))  # fmt: skip
    assert "module:function" in hear(process, "failed")[-1]["error"]


def test_it_ends_with_its_input_in_the_middle_of_work(process, tmp_path):
    order(process, tmp_path, "patient", until=str(tmp_path / "never"))
    hear(process, "progress")
    process.stdin.close()
    assert process.wait(timeout=60) in (0, -signal.SIGKILL)


def test_it_ignores_ctrl_c(process, tmp_path):
    os.kill(process.pid, signal.SIGINT)
    order(process, tmp_path, "echo")
    hear(process, "done")


def test_errors_are_explained():
    faults = BundleError([Fault("a.npz", "losses", 3, "is NaN.", "Repair it.")])
    assert worker.explain(faults)["error"] == "a.npz, losses, row 3: is NaN. Repair it."
    assert worker.explain(JobError("No.", "because"))["detail"] == "because"
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: ...")):
        assert worker.explain(error)["error"] == worker.OUT_OF_MEMORY
    told = worker.explain(ZeroDivisionError("division by zero"))
    assert told["error"] == "This is a bug in Errorscope: ZeroDivisionError: division by zero"
    assert told["kind"] == "ZeroDivisionError" and "ZeroDivisionError" in told["detail"]
