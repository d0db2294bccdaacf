"""How long until Waypost can be used, and how much is a base install?

Import time and the gateway's time to ready (exact experts only, no local model to load) are medians over several
processes; packages and size are those of a clean environment that holds the wheel and what it depends on.

    python benchmarks/startup.py            # two minutes, installs into a temporary folder; appends to results/
    python benchmarks/startup.py --quick    # seconds, without the clean install; only prints
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from http.client import HTTPConnection, HTTPException
from importlib.metadata import distributions
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import rows

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "models:\n  - {name: arithmetic, kind: arithmetic}\n  - {name: again, kind: arithmetic}\n"
IMPORT = "import time; start = time.perf_counter(); import waypost; print(time.perf_counter() - start)"


def import_seconds(python: str) -> float:
    """Seconds of ``import waypost`` in a fresh process."""
    return float(subprocess.run([python, "-c", IMPORT], capture_output=True, text=True, check=True).stdout)


def ready_seconds(python: str, folder: Path) -> float:
    """Seconds from starting ``waypost serve`` to its first 200 on /health/ready."""
    config = folder / "waypost.yaml"
    config.write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "waypost", "serve", "--config", str(config), "--port", str(port)]
    start = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while not is_ready(port):
                if server.poll() is not None:
                    sys.exit(f"waypost serve ended with {server.returncode}; run it by hand: {' '.join(command)}")
                sleep(0.005)
            return perf_counter() - start
        finally:
            server.terminate()


def is_ready(port: int) -> bool:
    """Whether the gateway says that it can take requests."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def clean_install(folder: Path) -> tuple[str, dict[str, Any]]:
    """The Python of a clean environment with Waypost in it, and how much that is; no compiler is used."""
    environment = folder / "clean"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    start = perf_counter()
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(wheel, check=True)
    subprocess.run([*install, "--only-binary", ":all:", str(next(folder.glob("*.whl")))], check=True)
    seconds = perf_counter() - start
    (packages,) = environment.glob("lib/python*/site-packages")
    names = {found.name.lower() for found in distributions(path=[str(packages)])} - {"pip", "setuptools"}
    size = sum(path.lstat().st_size for path in packages.rglob("*") if path.is_file())
    return python, {
        "install_s": round(seconds, 1),
        "packages": len(names),
        "megabytes": round(size / 1e6),
        "torch": "torch" in names,
    }


def main() -> None:
    """Measure the environment at hand, or a clean one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="measure this environment, and keep no row")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python, figures = (sys.executable, {}) if quick else clean_install(folder)
        times = 3 if quick else 9
        figures["import_s"] = round(statistics.median(import_seconds(python) for _ in range(times)), 3)
        figures["ready_s"] = round(statistics.median(ready_seconds(python, folder) for _ in range(times)), 3)
    print(json.dumps(figures)) if quick else rows.append("startup", figures)


if __name__ == "__main__":
    main()
