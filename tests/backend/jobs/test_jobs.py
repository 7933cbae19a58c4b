"""Every test here uses real worker processes; the tasks are in ``sample_tasks``."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from backend.core.errors import InputError, JobCancelled, JobError
from backend.core.home import PROJECT
from backend.jobs import Jobs, process, remaining_s, serving
from backend.jobs import job as one_job
from backend.jobs import manager as many_jobs
from backend.tasks import Task

NAMES = ["echo", "patient", "stubborn", "refuse", "bug", "hungry", "die", "chatty", "odd"]
TASKS = {name: f"tests.backend.jobs.sample_tasks:{name}" for name in NAMES}
LIMIT_S = 60


@pytest.fixture
def jobs(tmp_path):
    with Jobs(tmp_path / "home", tasks=TASKS) as manager:
        yield manager


@pytest.fixture
def gate(tmp_path):
    """A file that ``patient`` tasks wait for, and one in which computations are counted."""
    return {"until": str(tmp_path / "gate"), "count": str(tmp_path / "count")}


def open_gate(gate):
    Path(gate["until"]).touch()


def counted(gate):
    path = Path(gate["count"])
    return len(path.read_text()) if path.exists() else 0


def eventually(condition):
    """Poll until ``condition()`` holds; its value."""
    end = time.monotonic() + LIMIT_S
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail("waited too long")
        time.sleep(0.01)
    return value


def finished(job):
    assert job.wait(LIMIT_S)
    return job


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


# --- results --------------------------------------------------------------------------------------


def test_a_job_ends_with_its_result(jobs):
    job = finished(jobs.submit("echo", "", {"a": np.int64(3)}))
    assert (job.state, job.fraction, job.error, job.eta_s) == ("done", 1.0, None, None)
    np.testing.assert_array_equal(job.result()["numbers"], np.arange(4))
    assert job.result().meta["options"] == {"a": 3}
    assert jobs.get(job.key) is job and jobs.get("other") is None


def test_a_cached_result_is_there_at_once(jobs, gate):
    first = finished(jobs.submit("echo", "", gate))
    again = jobs.submit("echo", "", dict(reversed(gate.items())))
    assert again.state == "done" and again.key == first.key and counted(gate) == 1


def test_a_restarted_server_finds_the_result(tmp_path, gate):
    for _ in range(2):
        with Jobs(tmp_path / "home", tasks=TASKS) as manager:
            finished(manager.submit("echo", "", gate)).result()
    assert counted(gate) == 1


def test_a_higher_version_is_computed_again(tmp_path, gate):
    for version in (1, 2):
        tasks = {"echo": Task(TASKS["echo"], version=version)}
        with Jobs(tmp_path / "home", tasks=tasks) as manager:
            finished(manager.submit("echo", "", gate))
    assert counted(gate) == 2


def test_a_damaged_result_is_logged_and_computed_again(jobs, gate, caplog):
    job = finished(jobs.submit("echo", "", gate))
    file = jobs.cache.path(job.key) / "numbers.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    with caplog.at_level(logging.WARNING):
        again = finished(jobs.submit("echo", "", gate))
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(again.result()["numbers"], np.arange(4))
    assert counted(gate) == 2


def test_an_evicted_result_is_computed_again(tmp_path, gate):
    with Jobs(tmp_path / "home", tasks=TASKS, max_bytes=1) as manager:
        first = finished(manager.submit("echo", "", gate))
        manager.cache.write("0" * 64, {}, {})
        with pytest.raises(JobError, match="no longer kept"):
            first.result()
        finished(manager.submit("echo", "", gate)).result()
    assert counted(gate) == 2


def test_a_task_with_effects_outside_is_never_reused(tmp_path, gate):
    tasks = {"echo": Task(TASKS["echo"], source=lambda options: "same")}
    with Jobs(tmp_path / "home", tasks=tasks) as manager:
        finished(manager.submit("echo", "", gate, watcher="a")).result()
        finished(manager.submit("echo", "", gate, watcher="a")).result()
    assert counted(gate) == 2


@pytest.mark.parametrize("task", ["", "absent"])
def test_unknown_tasks_are_refused(jobs, task):
    with pytest.raises(InputError, match="there is no task"):
        jobs.submit(task, "")


# --- one computation for many ---------------------------------------------------------------------


def test_threads_that_ask_the_same_share_one_computation(jobs, gate):
    got = []
    barrier = threading.Barrier(4)

    def ask(name):
        barrier.wait()
        got.append(jobs.submit("patient", "", gate, watcher=name))

    threads = [threading.Thread(target=ask, args=(f"w{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, got))) == 1
    open_gate(gate)
    finished(got[0])
    assert counted(gate) == 1


def test_two_servers_on_one_home_compute_once(jobs, gate):
    with Jobs(jobs.home, tasks=TASKS) as other:
        first = jobs.submit("patient", "", gate)
        eventually(lambda: first.state == "running")
        second = other.submit("patient", "", gate)
        eventually(lambda: "another process" in second.message)
        # Meanwhile the second server's worker is free for other work.
        assert finished(other.submit("echo", "", {})).state == "done"
        assert second.state == "queued"
        open_gate(gate)
        assert finished(first).state == finished(second).state == "done"
    assert counted(gate) == 1


def test_a_server_that_waited_takes_over_when_the_first_gives_up(jobs, gate):
    with Jobs(jobs.home, tasks=TASKS) as other:
        first = jobs.submit("patient", "", gate)
        eventually(lambda: first.state == "running")
        second = other.submit("patient", "", gate)
        first.cancel()
        open_gate(gate)
        assert finished(second).state == "done"
    assert (first.state, counted(gate)) == ("cancelled", 1)


# --- while it runs --------------------------------------------------------------------------------


def test_progress_and_parts_are_seen_while_it_runs(jobs, gate):
    job = jobs.submit("patient", "", {**gate, "parts": 3})
    eventually(lambda: job.fraction > 0.3)
    assert job.state == "running" and job.message == "waiting for the file"
    parts = job.partial()
    assert [part.meta["index"] for part in parts] == [0, 1, 2]
    assert [int(part["index"][0]) for part in parts] == [0, 1, 2]
    with pytest.raises(JobError, match="has not ended"):
        job.result()
    assert eventually(lambda: job.eta_s) > 0
    open_gate(gate)
    assert finished(job).state == "done" and len(job.partial()) == 3
    eventually(lambda: not list((jobs.cache.folder / ".parts").iterdir()))


@pytest.mark.parametrize(
    ("history", "now", "left"),
    [
        ([], 0, None),
        ([(0, 0.5)], 1, None),
        ([(0, 0.1), (0.1, 0.2)], 1, None),
        ([(0, 0.2), (10, 0.2)], 10, None),
        ([(0, 0.0), (10, 0.5)], 10, 10),
        ([(0, 0.0), (10, 0.5)], 14, 6),
        ([(0, 0.0), (10, 0.5)], 99, 0),
        ([(0, 0.0), (90, 0.1), (100, 0.6)], 100, 3200 / 48),
        ([(0, 0.0), (90, 0.4), (100, 0.6)], 100, 20),
    ],
)
def test_time_left_follows_the_recent_pace(history, now, left):
    assert remaining_s(history, now) == (None if left is None else pytest.approx(left))


def test_jobs_wait_their_turn_and_lanes_do_not_wait_for_each_other(tmp_path, gate):
    tasks = {
        "patient": TASKS["patient"],
        "echo": TASKS["echo"],
        "quick": Task(TASKS["echo"], lane=lambda options: "quick"),
    }
    with Jobs(tmp_path / "home", tasks=tasks) as manager:
        busy = manager.submit("patient", "", gate)
        waiting = manager.submit("echo", "", {})
        assert finished(manager.submit("quick", "", {"a": 1})).state == "done"
        assert waiting.state == "queued" and waiting.message == "Waiting for a worker"
        open_gate(gate)
        assert finished(waiting).state == finished(busy).state == "done"


def test_a_second_worker_runs_beside_the_first(tmp_path, gate):
    with Jobs(tmp_path / "home", workers=2, tasks=TASKS) as manager:
        busy = manager.submit("patient", "", gate)
        assert finished(manager.submit("echo", "", {})).state == "done"
        assert busy.state in ("queued", "running")


# --- cancelling -----------------------------------------------------------------------------------


def test_cancel_stops_work_and_keeps_its_parts(jobs, gate):
    job = jobs.submit("patient", "", {**gate, "parts": 2}, watcher="a")
    eventually(lambda: len(job.partial()) == 2)
    worker = jobs._jobs[job.key]._worker
    job.cancel("a")
    assert job.state == "cancelled" and job.wait(0)
    with pytest.raises(JobCancelled):
        job.result()
    after = finished(jobs.submit("echo", "", {}))
    assert after.result().meta["pid"] == worker.process.pid, "an obedient worker is kept"
    assert [part.meta["index"] for part in job.partial()] == [0, 1]
    assert [int(part["index"][0]) for part in job.partial()] == [0, 1]
    assert counted(gate) == 0


def test_a_worker_that_does_not_listen_is_replaced(jobs):
    job = jobs.submit("stubborn", "")
    pid = int(eventually(job.partial)[0]["pid"][0])
    job.cancel()
    after = finished(jobs.submit("echo", "", {}))
    assert after.state == "done" and after.result().meta["pid"] != pid
    assert is_gone(pid) and len(job.partial()) == 1


def test_a_queued_job_is_cancelled_without_a_worker(jobs, gate):
    busy = jobs.submit("patient", "", gate)
    queued = jobs.submit("echo", "", gate)
    queued.cancel()
    assert queued.state == "cancelled"
    open_gate(gate)
    finished(busy)
    finished(jobs.submit("echo", "", {}))
    assert counted(gate) == 1, "only the patient task ran"


def test_only_the_last_watcher_stops_it(jobs, gate):
    job = jobs.submit("patient", "", gate, watcher="a")
    assert jobs.submit("patient", "", gate, watcher="b") is job
    job.cancel("a")
    job.cancel("a")
    job.cancel("stranger")
    assert not job.ended
    job.cancel("b")
    assert job.state == "cancelled"


def test_who_cancelled_no_longer_counts_however_often_their_page_asks(jobs, gate):
    job = jobs.submit("patient", "", gate, watcher="ada")
    jobs.submit("patient", "", gate, watcher="bob")
    job.cancel("ada")
    assert jobs.submit("patient", "", gate, watcher="ada") is job
    job.watch("ada")
    assert job.left("ada") and not job.left("bob")
    assert jobs.retry(job, watcher="ada") is job
    assert not job.left("ada")
    job.cancel("bob")
    assert not job.ended, "ada waits again"
    job.cancel("ada")
    assert job.wait(10) and job.state == "cancelled"


def test_a_silent_watcher_does_not_keep_others_from_cancelling(jobs, gate, monkeypatch):
    job = jobs.submit("patient", "", gate, watcher="closed tab")
    job.watch("closed tab")
    jobs.submit("patient", "", gate, watcher="open tab")
    job.cancel("open tab")
    assert not job.ended
    jobs.submit("patient", "", gate, watcher="open tab")
    monkeypatch.setattr(one_job, "SILENCE_S", 0.0)
    job.cancel("open tab")
    assert job.state == "cancelled"


def test_who_cancelled_is_not_given_a_new_run_unasked(jobs, gate):
    job = jobs.submit("patient", "", gate, watcher="a")
    job.cancel("a")
    assert jobs.submit("patient", "", gate, watcher="a") is job
    again = jobs.retry(job, watcher="a")
    assert again is not job and jobs.submit("patient", "", gate, watcher="a") is again
    assert jobs.retry(job, watcher="b") is again
    open_gate(gate)
    assert finished(again).state == "done" and counted(gate) == 1


@pytest.mark.parametrize("watcher", ["", "b"])
def test_others_get_a_new_run_of_what_was_cancelled(jobs, gate, watcher):
    job = jobs.submit("patient", "", gate, watcher="a")
    job.cancel("a")
    again = jobs.submit("patient", "", gate, watcher=watcher)
    assert again is not job
    open_gate(gate)
    assert finished(again).state == "done"


# --- failing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "options", "error", "detail"),
    [
        ("refuse", {}, "^size must be above 0: got -1.$", "^$"),
        ("bug", {}, "This is a bug in Errorscope: KeyError: 'forgotten'", "in bug"),
        ("hungry", {}, "not enough memory", "MemoryError"),
        ("die", {"signal": "SIGKILL"}, "killed by the system.*memory", "last words"),
        ("die", {"signal": "SIGABRT"}, "signal 6 \\(SIGABRT\\)", "last words"),
        ("odd", {}, "array 'objects' holds objects", ""),
    ],
)
def test_a_failure_is_told_and_the_next_job_works(jobs, task, options, error, detail):
    job = finished(jobs.submit(task, "", options))
    assert job.state == "failed"
    with pytest.raises(JobError, match=error) as raised:
        job.result()
    assert raised.value.detail == job.detail
    assert re.search(detail, job.detail)
    assert finished(jobs.submit("echo", "", {})).state == "done"


def test_a_worker_killed_from_outside_is_told(jobs, gate):
    job = jobs.submit("patient", "", {**gate, "parts": 1})
    eventually(job.partial)
    os.kill(jobs._jobs[job.key]._worker.process.pid, signal.SIGKILL)
    assert "killed by the system" in finished(job).error
    assert len(job.partial()) == 1
    open_gate(gate)
    assert finished(jobs.submit("patient", "", gate)).state == "done"


def test_a_worker_killed_while_idle_is_replaced_unnoticed(jobs):
    first = finished(jobs.submit("echo", "", {"a": 1}))
    pid = first.result().meta["pid"]
    os.kill(pid, signal.SIGKILL)
    assert finished(jobs.submit("echo", "", {"a": 2})).state == "done"


def test_workers_that_cannot_start_are_told(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "PROJECT", tmp_path)
    job = finished(jobs.submit("echo", ""))
    assert "stopped unexpectedly with exit code 1" in job.error
    assert "No module named" in job.detail and "backend" in job.detail


def test_the_log_tells_how_jobs_begin_and_end_and_what_they_took(tmp_path, gate, caplog):
    tasks = {**TASKS, "import": TASKS["refuse"]}
    with caplog.at_level(logging.INFO, "errorscope"), Jobs(tmp_path, tasks=tasks) as manager:
        for task in ("echo", "echo", "refuse", "bug", "import"):  # the second is kept already
            finished(manager.submit(task, "", {"note": "of Ada's"}))
        held = manager.submit("patient", "", gate)
        eventually(lambda: held.state == "running")
        held.cancel()
        finished(held)
    told = [(one.getMessage(), one.facts) for one in caplog.records if one.name == "errorscope"]
    ended = [
        (event, facts["task"], facts.get("reason"))
        for event, facts in told
        if event != "job started"
    ]
    assert ended == [
        ("job finished", "echo", None),
        ("job failed", "refuse", "InputError"),
        ("job failed", "bug", "KeyError"),
        ("import refused", "import", "InputError"),
        ("job cancelled", "patient", None),
    ]
    assert len(told) == 2 * len(ended) and "Ada" not in str(told)
    for event, facts in told:
        if event != "job started":
            assert 0 <= facts["seconds"] < LIMIT_S
            assert 2**20 < facts["peak_bytes"] < 2**34


def test_a_failed_job_is_computed_anew_when_asked_again(jobs):
    job = finished(jobs.submit("refuse", "", watcher="a"))
    assert jobs.submit("refuse", "", watcher="a") is job, "a page that reruns starts no loop"
    for again in (jobs.submit("refuse", ""), jobs.retry(job, "a")):
        assert again is not job and finished(again).state == "failed"


def test_prints_and_interrupts_do_not_disturb(jobs):
    job = finished(jobs.submit("chatty", ""))
    assert job.state == "done" and job.result().meta["read"] == ""


def test_a_bundle_that_does_not_exist_is_told(jobs):
    job = finished(jobs.submit("echo", "f" * 64))
    assert job.state == "failed" and "no such bundle" in job.error


def test_a_wrong_number_of_threads_is_told(jobs, monkeypatch):
    monkeypatch.setenv("ERRORSCOPE_THREADS", "many")
    job = finished(jobs.submit("echo", ""))
    assert job.error == "ERRORSCOPE_THREADS must be a positive number: got 'many'."
    assert jobs.standing() == (False, 0)
    monkeypatch.setenv("ERRORSCOPE_THREADS", "1")
    assert finished(jobs.submit("echo", "")).state == "done"


# --- the manager ----------------------------------------------------------------------------------


def test_closing_cancels_and_ends_the_workers(tmp_path, gate):
    manager = Jobs(tmp_path / "home", tasks=TASKS, warm=True)
    job = manager.submit("stubborn", "")
    pid = int(eventually(job.partial)[0]["pid"][0])
    manager.close()
    assert job.state == "cancelled" and is_gone(pid)
    with pytest.raises(JobError, match="shut down"):
        manager.submit("echo", "", {})


def test_old_jobs_are_forgotten_and_running_ones_kept(jobs, gate, monkeypatch):
    monkeypatch.setattr(many_jobs, "_REMEMBERED", 3)
    running = jobs.submit("patient", "", gate)
    keys = []
    for number in range(5):
        key = jobs.submit("echo", "", {"number": number}).key
        jobs.get(key).cancel()
        keys.append(key)
    assert jobs.get(running.key) is running
    assert [jobs.get(key) is None for key in keys] == [True, True, True, False, False]


def test_those_who_wait_take_turns(jobs, gate):
    first = jobs.submit("patient", "", gate, watcher="ann")
    eventually(lambda: first.state == "running")
    asked = ["ann", "ann", "ann", "ben", "ben", "cy"]
    waiting = [
        jobs.submit("echo", "", {"number": number}, watcher=who) for number, who in enumerate(asked)
    ]
    open_gate(gate)
    ended = sorted(waiting, key=lambda job: jobs.cache.path(finished(job).key).stat().st_mtime_ns)
    order = [asked[waiting.index(job)] for job in ended]
    assert order == ["ben", "cy", "ann", "ben", "ann", "ann"]


def test_a_person_has_no_more_tasks_waiting_than_may(jobs, gate, monkeypatch):
    monkeypatch.setenv("ERRORSCOPE_PERSON_JOBS", "2")
    first = jobs.submit("patient", "", gate, watcher="tab 1", person="ann")
    eventually(lambda: first.state == "running")

    def ask(number, person, tab="tab 1"):
        return jobs.submit("echo", "", {"number": number}, watcher=tab, person=person)

    waiting = [ask(0, "ann"), ask(1, "ann", "tab 2")]
    assert jobs.standing() == (True, 2)
    with pytest.raises(InputError, match=r"2 of your tasks are waiting .*ERRORSCOPE_PERSON_JOBS"):
        ask(2, "ann", "tab 3")
    assert ask(1, "ann") is waiting[1]  # what waits already is joined
    others = [ask(number, person) for number, person in enumerate(["ben", "", "", ""], 3)]
    waiting[0].cancel("tab 1")
    others.append(ask(2, "ann"))
    with pytest.raises(InputError, match="of your tasks are waiting"):
        jobs.retry(waiting[0], "tab 1", "ann")
    others.append(jobs.retry(waiting[0], "tab 1", "ben"))
    open_gate(gate)
    assert all(finished(job).state == "done" for job in others)
    monkeypatch.setenv("ERRORSCOPE_PERSON_JOBS", "0")
    with pytest.raises(InputError, match="whole number above 0"):
        ask(9, "ann")


def test_one_set_of_workers_serves_a_home_however_often_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    manager = serving()
    try:
        assert serving() is manager
        manager.close()
        assert serving() is not manager and not serving().closed
    finally:
        serving().close()


def test_workers_must_be_a_positive_number(tmp_path):
    with pytest.raises(InputError, match="workers must be at least 1: got 0"):
        Jobs(tmp_path, workers=0)


SERVERS = {
    "in the middle of work": """
job = jobs.submit("t", "")
while not job.partial():
    job.wait(0.01)
""",
    "before they are ready": """
for name in jobs.tasks:
    jobs.submit(name, "")
while len(psutil.Process().children()) < 3:
    time.sleep(0.001)
""",
}


@pytest.mark.parametrize("moment", SERVERS)
def test_workers_die_with_a_killed_server(tmp_path, moment):
    task = "tests.backend.jobs.sample_tasks:stubborn"
    lanes = "quick", "compute", "background"
    rows = ", ".join(f"{one[:1]!r}: Task({task!r}, lane=lambda _: {one!r})" for one in lanes)
    script = f"""
import sys, time
import psutil
from backend.jobs import Jobs
from backend.tasks import Task
jobs = Jobs(sys.argv[1], tasks={{"t": {task!r}, {rows}}})
{SERVERS[moment]}
print(*(one.pid for one in psutil.Process().children()), flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "home")], stdout=subprocess.PIPE, cwd=PROJECT
    ) as server:
        workers = list(map(int, server.stdout.readline().split()))
        server.kill()
        server.wait()
        assert workers
        eventually(lambda: all(map(is_gone, workers)))
