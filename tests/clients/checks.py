"""What the scripts share: where the gateway is, named checks, and a count at the end."""
import contextlib
import os
import sys
import time
import urllib.parse
import uuid
import warnings

warnings.filterwarnings("ignore")
os.environ["NO_PROXY"] = "127.0.0.1,localhost"
os.environ.setdefault("GOOGLE_API_USE_CLIENT_CERTIFICATE", "false")

BASE = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080").rstrip("/")
SCHEME = urllib.parse.urlsplit(BASE).scheme
# Makes the names of this run different from those of any other.
RUN = uuid.uuid4().hex[:6]
COUNTS = {"passed": 0, "failed": 0}


@contextlib.contextmanager
def check(name):
    """Counts and prints one check; a failed one does not end the script."""
    begun = time.monotonic()
    try:
        yield
        verdict, why = "passed", ""
    except Exception as failure:  # noqa: BLE001: whatever it is, it is what the script reports
        verdict, why = "failed", f": {type(failure).__name__}: {failure}"[:600]
    COUNTS[verdict] += 1
    print(f"{verdict}  {name} ({time.monotonic() - begun:.1f} s){why}", flush=True)


def equal(got, wanted):
    """Fails unless both are the same."""
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


@contextlib.contextmanager
def raises(kind, status=None):
    """Fails unless an error of that kind comes, with that HTTP status."""
    try:
        yield
    except kind as error:
        got = getattr(error, "status_code", None) or getattr(error, "code", None)
        assert status is None or got == status, f"got status {got}, wanted {status}: {error}"
        return
    raise AssertionError(f"no {kind.__name__} came")


def until(read, holds, seconds=60):
    """Reads again and again until it holds; returns what was read."""
    end = time.monotonic() + seconds
    while not holds(value := read()):
        assert time.monotonic() < end, f"still {value!r} after {seconds} s"
        time.sleep(0.5)
    return value


def finish():
    """Prints the counts and ends the script."""
    print(f"{COUNTS['passed']} passed, {COUNTS['failed']} failed")
    sys.exit(1 if COUNTS["failed"] or not COUNTS["passed"] else 0)
