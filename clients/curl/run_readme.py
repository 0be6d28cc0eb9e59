"""Runs the README's examples as a newcomer would: each block copied, in order, in one shell.

Every ```sh or ```bash block between `<!-- try:begin -->` and `<!-- try:end -->` is one test. Literal,
but for what a test cannot share with a newcomer's machine:

- `127.0.0.1:8000` becomes the address of the server under test;
- `cargo run … -- ARGUMENTS` and `target/release/aerostore` are the binary under test, `./aerostore-data` is its data;
- the first command that fails ends the run (`set -e`), so an example that must succeed asks curl for `-f`.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
REGION = re.compile(r"<!-- try:begin -->(.*?)<!-- try:end -->", re.S)
BLOCK = re.compile(r"^```(?:sh|bash)\n(.*?)^```$", re.S | re.M)

PRELUDE = """
set -e -o pipefail
cargo() { while [ "$1" != "--" ]; do shift; done; shift; "$BINARY_UNDER_TEST" "$@"; }
"""


def blocks(text):
    return [body.strip() for region in REGION.findall(text) for body in BLOCK.findall(region)]


def script(cases, address):
    """One shell for all blocks, as variables of an earlier one are used by a later one."""
    lines = [PRELUDE]
    for number, body in enumerate(cases, start=1):
        body = body.replace("127.0.0.1:8000", address)
        lines.append(f"printf '\\n[%s] %s\\n' {number} {quoted(body.splitlines()[0])}")
        lines.append(body)
        lines.append(f"printf '\\nblock {number} ok\\n'")
    return "\n".join(lines)


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def main():
    cases = blocks(README.read_text())
    if not cases:
        print(f"{README.name} has no block between <!-- try:begin --> and <!-- try:end -->")
        return 1
    address = os.environ["AEROSTORE_URL"].removeprefix("http://")
    binary = Path(os.environ["AEROSTORE_BINARY"])
    with tempfile.TemporaryDirectory(prefix="aerostore-readme-") as folder:
        place = Path(folder)
        (place / "target" / "release").mkdir(parents=True)
        (place / "target" / "release" / "aerostore").symlink_to(binary)
        (place / "aerostore-data").symlink_to(os.environ["AEROSTORE_DATA_DIR"])
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AEROSTORE_")}
        environment["BINARY_UNDER_TEST"] = str(binary)
        done = subprocess.run(
            ["bash", "-c", script(cases, address)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    print(done.stdout)
    passed = len(re.findall(r"^block \d+ ok$", done.stdout, re.M))
    failed = len(cases) - passed
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
