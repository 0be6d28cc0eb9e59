"""The tools under test: one class each, with one method for each thing that people do with it.

Every method runs the tool as a shell would, without any configuration but what the class writes, and fails where the
tool does.
"""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

URL = os.environ["AEROSTORE_S3_URL"]
REGION = os.environ.get("AEROSTORE_S3_REGION", "us-east-1")
PROGRAMS = Path(__file__).parent / ".venv" / "bin"


class Failed(Exception):
    """What a tool said when it failed."""


class Tool:
    name = ""

    def __init__(self, home, key, secret, session_token=None):
        self.home, self.key, self.secret, self.session_token = home, key, secret, session_token
        self.environment = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": str(home), "LC_ALL": "C.UTF-8"}
        self.environment |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": REGION}
        if session_token:
            self.environment["AWS_SESSION_TOKEN"] = session_token

    def run(self, *arguments):
        command = [str(argument) for argument in (*self.command(), *arguments)]
        done = subprocess.run(
            command, env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=240
        )
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def command(self):
        return [PROGRAMS / self.name]


class Aws(Tool):
    name = "aws"

    def command(self):
        return [PROGRAMS / "aws", "--endpoint-url", URL, "--region", REGION]

    def make_bucket(self, bucket):
        self.run("s3", "mb", f"s3://{bucket}")

    def buckets(self):
        return [line.split()[-1] for line in self.run("s3", "ls").splitlines()]

    def put(self, file, bucket, key):
        self.run("s3", "cp", "--only-show-errors", file, f"s3://{bucket}/{key}")

    def get(self, bucket, key, file):
        self.run("s3", "cp", "--only-show-errors", f"s3://{bucket}/{key}", file)

    def copy(self, bucket, key, target):
        self.run("s3", "cp", "--only-show-errors", f"s3://{bucket}/{key}", f"s3://{bucket}/{target}")

    def delete(self, bucket, key):
        self.run("s3", "rm", "--only-show-errors", f"s3://{bucket}/{key}")

    def delete_below(self, bucket, prefix):
        self.run("s3", "rm", "--only-show-errors", "--recursive", f"s3://{bucket}/{prefix}")

    def keys(self, bucket):
        return [line[31:] for line in self.run("s3", "ls", "--recursive", f"s3://{bucket}").splitlines()]

    def level(self, bucket, prefix):
        return [line[31:] for line in self.run("s3", "ls", f"s3://{bucket}/{prefix}").splitlines()]

    def sync_up(self, folder, bucket, prefix):
        """Gives what was transferred."""
        return self.run("s3", "sync", "--no-progress", folder, f"s3://{bucket}/{prefix}").splitlines()

    def sync_down(self, bucket, prefix, folder):
        return self.run("s3", "sync", "--no-progress", f"s3://{bucket}/{prefix}", folder).splitlines()


class S5cmd(Tool):
    name = "s5cmd"

    def command(self):
        return [PROGRAMS / "s5cmd", "--endpoint-url", URL]

    def make_bucket(self, bucket):
        self.run("mb", f"s3://{bucket}")

    def buckets(self):
        return [line.split()[-1].removeprefix("s3://") for line in self.run("ls").splitlines()]

    def put(self, file, bucket, key):
        self.run("cp", file, f"s3://{bucket}/{key}")

    def get(self, bucket, key, file):
        self.run("cp", f"s3://{bucket}/{key}", file)

    def copy(self, bucket, key, target):
        self.run("cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{target}")

    def delete(self, bucket, key):
        self.run("rm", f"s3://{bucket}/{key}")

    def delete_below(self, bucket, prefix):
        self.run("rm", f"s3://{bucket}/{prefix}*")

    def keys(self, bucket):
        return [json.loads(line)["key"].removeprefix(f"s3://{bucket}/") for line in self.lines(f"s3://{bucket}/*")]

    def level(self, bucket, prefix):
        start = f"s3://{bucket}/{prefix}"
        return [json.loads(line)["key"].removeprefix(start) for line in self.lines(start)]

    def lines(self, url):
        return self.run("--json", "ls", url).splitlines()

    def sync_up(self, folder, bucket, prefix):
        return self.run("sync", f"{folder}/", f"s3://{bucket}/{prefix}").splitlines()

    def sync_down(self, bucket, prefix, folder):
        return self.run("sync", f"s3://{bucket}/{prefix}*", f"{folder}/").splitlines()


class S3cmd(Tool):
    name = "s3cmd"

    def __init__(self, home, key, secret, session_token=None):
        super().__init__(home, key, secret, session_token)
        host = urlsplit(URL).netloc
        settings = {
            "access_key": key, "secret_key": secret, "access_token": session_token or "", "host_base": host,
            "host_bucket": host, "use_https": "False", "bucket_location": REGION, "signature_v2": "False",
            "multipart_chunk_size_mb": 16, "progress_meter": "False",
        }
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (home / ".s3cfg").write_text(f"[default]\n{text}")

    def command(self):
        return [PROGRAMS / "python", PROGRAMS / "s3cmd", "--config", self.home / ".s3cfg"]

    def make_bucket(self, bucket):
        self.run("mb", f"s3://{bucket}")

    def buckets(self):
        return [line.split()[-1].removeprefix("s3://") for line in self.run("ls").splitlines()]

    def put(self, file, bucket, key):
        self.run("put", file, f"s3://{bucket}/{key}")

    def get(self, bucket, key, file):
        self.run("get", "--force", f"s3://{bucket}/{key}", file)

    def copy(self, bucket, key, target):
        self.run("cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{target}")

    def delete(self, bucket, key):
        self.run("del", f"s3://{bucket}/{key}")

    def delete_below(self, bucket, prefix):
        self.run("del", "--recursive", "--force", f"s3://{bucket}/{prefix}")

    def keys(self, bucket):
        lines = self.run("ls", "--recursive", f"s3://{bucket}").splitlines()
        return [line.partition(f"s3://{bucket}/")[2] for line in lines]

    def level(self, bucket, prefix):
        start = f"s3://{bucket}/{prefix}"
        return [line.partition(start)[2] for line in self.run("ls", start).splitlines()]

    def sync_up(self, folder, bucket, prefix):
        return self.moved(self.run("sync", f"{folder}/", f"s3://{bucket}/{prefix}"))

    def sync_down(self, bucket, prefix, folder):
        return self.moved(self.run("sync", f"s3://{bucket}/{prefix}", f"{folder}/"))

    @staticmethod
    def moved(output):
        return [line for line in output.splitlines() if line.startswith(("upload:", "download:", "remote copy:"))]


class Rclone(Tool):
    name = "rclone"

    def __init__(self, home, key, secret, session_token=None):
        super().__init__(home, key, secret, session_token)
        settings = {
            "type": "s3", "provider": "Other", "endpoint": URL, "access_key_id": key, "secret_access_key": secret,
            "session_token": session_token or "", "region": REGION, "force_path_style": "true",
        }
        self.environment |= {f"RCLONE_CONFIG_AERO_{name.upper()}": value for name, value in settings.items()}

    def command(self):
        return [PROGRAMS / "rclone", "--config", "", "--retries", "1", "--low-level-retries", "1"]

    def make_bucket(self, bucket):
        self.run("mkdir", f"aero:{bucket}")

    def buckets(self):
        return [line.rstrip("/") for line in self.run("lsf", "aero:").splitlines()]

    def put(self, file, bucket, key):
        self.run("copyto", file, f"aero:{bucket}/{key}")

    def get(self, bucket, key, file):
        self.run("copyto", f"aero:{bucket}/{key}", file)

    def copy(self, bucket, key, target):
        self.run("copyto", f"aero:{bucket}/{key}", f"aero:{bucket}/{target}")

    def delete(self, bucket, key):
        self.run("deletefile", f"aero:{bucket}/{key}")

    def delete_below(self, bucket, prefix):
        self.run("purge", f"aero:{bucket}/{prefix}".rstrip("/"))

    def keys(self, bucket):
        return self.run("lsf", "--recursive", "--files-only", f"aero:{bucket}").splitlines()

    def level(self, bucket, prefix):
        return self.run("lsf", f"aero:{bucket}/{prefix}").splitlines()

    def sync_up(self, folder, bucket, prefix):
        return self.moved("sync", folder, f"aero:{bucket}/{prefix}")

    def sync_down(self, bucket, prefix, folder):
        return self.moved("sync", f"aero:{bucket}/{prefix}", folder)

    def moved(self, *arguments):
        log = self.home / "rclone.log"
        log.unlink(missing_ok=True)
        self.run("--log-file", log, "--log-level", "INFO", *arguments)
        return [line for line in log.read_text().splitlines() if ": Copied " in line]

    def check(self, folder, bucket, prefix):
        """Compares sizes and digests on both sides, and then the bytes themselves."""
        self.run("check", folder, f"aero:{bucket}/{prefix}")
        self.run("check", "--download", folder, f"aero:{bucket}/{prefix}")


TOOLS = [Aws, S5cmd, S3cmd, Rclone]
