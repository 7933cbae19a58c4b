"""The examples for putting it on a server: they parse, say nothing that is not there, and a back-up restores."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml

from backend.bundle import import_bundle, open_bundle, write_bundle
from backend.store import Store
from tests.e2e.conftest import free_port

PROJECT = Path(__file__).parents[1]
DEPLOY = PROJECT / "assets" / "deploy"
README = (PROJECT / "README.md").read_text(encoding="utf-8")
SERVICE = DEPLOY / "errorscope.service"
NAME = "errorscope.example.org"


def example(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def settings(text: str) -> dict[str, str]:
    """What an environment file sets, lines that are switched off included."""
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_every_setting_in_an_example_is_one_of_the_readme_or_of_what_it_stands_on() -> None:
    known = set(re.findall(r"^\| `(ERRORSCOPE_\w+)`", README, re.MULTILINE))
    named = {one for path in DEPLOY.iterdir() for one in re.findall(r"ERRORSCOPE_\w+", path.read_text())}  # fmt: skip
    assert named and named <= known
    held = settings(example("errorscope.env"))
    others = {name for name in held if not name.startswith("ERRORSCOPE_")}
    docker = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    assert {name for name in others if name in docker} == {
        "NUMBA_CACHE_DIR", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
    }  # fmt: skip
    assert held["ERRORSCOPE_HOSTS"] == NAME and int(held["WEBSOCKETS_MAX_LINE_LENGTH"]) == 2**16


def test_the_guide_names_every_example_and_no_other() -> None:
    linked = set(re.findall(r"\]\(([\w.]+)\)", example("guide.md")))
    assert linked == {path.name for path in DEPLOY.iterdir()} - {"guide.md"}
    assert "(assets/deploy/guide.md)" in README


def test_the_service_runs_what_the_guide_puts_there() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(SERVICE.read_text(encoding="utf-8"))
    service, held = unit["Service"], settings(example("errorscope.env"))
    assert service["ExecStart"].startswith(f"{service['WorkingDirectory']}/.venv/bin/streamlit run")
    assert "--server.address=127.0.0.1 --server.port=8501" in service["ExecStart"]
    assert held["ERRORSCOPE_HOME"] == f"/var/lib/{service['StateDirectory']}"
    assert service["EnvironmentFile"] == "/etc/errorscope/errorscope.env"
    if tool := shutil.which("systemd-analyze"):
        told = subprocess.run([tool, "verify", str(SERVICE)], capture_output=True, text=True)
        faults = [line for line in told.stderr.splitlines() if SERVICE.name in line]
        assert all("is not executable: No such file" in line for line in faults), told.stderr


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_nginx_takes_its_example(tmp_path: Path) -> None:
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}"]
    subprocess.run(
        [*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    text = example("nginx.conf").replace("/etc/ssl/errorscope", str(tmp_path))
    for port in ("80", "443"):  # those of its own are root's
        text = re.sub(rf"listen {port}\b", f"listen 127.0.0.1:{free_port()}", text)
    (tmp_path / "site.conf").write_text(text)
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; include site.conf; }}"
    )
    told = subprocess.run(["nginx", "-t", "-c", str(whole)], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


@pytest.mark.skipif(not shutil.which("caddy"), reason="Caddy is not installed")
def test_caddy_takes_its_example() -> None:
    asked = ["caddy", "adapt", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    told = subprocess.run(asked, capture_output=True, text=True)
    assert told.returncode == 0 and NAME in told.stdout, told.stderr


def test_a_proxy_lets_through_what_the_server_takes() -> None:
    nginx, caddy = example("nginx.conf"), example("Caddyfile")
    uploads = re.search(r"\| `ERRORSCOPE_UPLOAD_GB` \|[^|]*\| (\d+) \|", README)
    assert uploads is not None
    assert f"client_max_body_size {uploads[1]}g;" in nginx and f"max_size {uploads[1]}GB" in caddy
    for line in ("Upgrade $http_upgrade", "Host $http_host", "proxy_request_buffering off"):
        assert line in nginx
    assert "proxy_pass http://127.0.0.1:8501;" in nginx and "127.0.0.1:8501 {" in caddy


def test_the_containers_fit_the_dockerfile() -> None:
    services = yaml.safe_load(example("compose.yaml"))["services"]
    app, database = services["errorscope"], services["database"]
    docker = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    assert all(f"ARG {name}" in docker for name in app["build"]["args"])
    assert (DEPLOY / app["build"]["context"]).resolve() == PROJECT
    assert "VOLUME /data" in docker and "home:/data" in app["volumes"]
    (port,) = app["ports"]
    assert port.startswith("127.0.0.1:") and f"EXPOSE {port.rpartition(':')[2]}" in docker
    held = database["environment"]
    url = app["environment"]["ERRORSCOPE_DATABASE"]
    assert url == f"postgresql://{held['POSTGRES_USER']}@database/{held['POSTGRES_DB']}"
    assert app["environment"]["PGPASSWORD"] == held["POSTGRES_PASSWORD"]


def test_a_back_up_made_while_people_tag_has_all_that_was_acknowledged_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    home, kept, again = tmp_path / "home", tmp_path / "kept", tmp_path / "again"
    path = write_bundle(tmp_path / "b.npz", embeddings=np.eye(400), losses=np.arange(400.0))
    digest = import_bundle(path, home).digest
    (home / "cache").mkdir(exist_ok=True)
    (home / "cache" / "result").write_text("made anew")
    acknowledged: list[str] = []
    enough, end = threading.Event(), threading.Event()

    def tag() -> None:
        with closing(Store(home=home)) as store:
            for row in range(400):
                store.tag(digest, [str(row)], "t", author="Ada")
                acknowledged.append(str(row))
                if row == 20:
                    enough.set()
                if end.is_set():
                    return

    tagging = threading.Thread(target=tag)
    tagging.start()
    assert enough.wait(60)
    before = set(acknowledged)
    subprocess.run([DEPLOY / "backup.sh", home, kept], check=True)
    end.set()
    tagging.join()
    assert {one.name for one in kept.iterdir()} == {"errorscope.sqlite", "home.tar"}
    subprocess.run([DEPLOY / "restore.sh", kept, again], check=True)
    with closing(Store(home=again)) as store:
        assert before <= set(store.tags(digest)["id"])
    assert open_bundle(digest, again).n == 400 and not (again / "cache").exists()
    told = subprocess.run([DEPLOY / "restore.sh", kept, again], capture_output=True, text=True)
    assert told.returncode == 2 and "must be empty" in told.stderr
