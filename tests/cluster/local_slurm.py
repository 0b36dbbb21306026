"""A throwaway SLURM on this host: its own keys, ports and folders, nothing outside one folder.

`python tests/cluster/local_slurm.py FOLDER` starts one to try by hand, until Ctrl-C.
Neither systemd, cgroups nor root is needed; what it takes is the packages in `PACKAGES`.
"""

import argparse
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PACKAGES = ["slurmctld", "slurmd", "slurm-client", "munge"]  # Debian's names
ACCOUNTING_PACKAGES = ["slurmdbd", "mariadb-server-core"]
PROGRAMS = ["slurmctld", "slurmd", "sbatch", "munged", "setpriv"]
ACCOUNTING_PROGRAMS = ["slurmdbd", "mariadbd"]
CLIENTS = ["sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo", "sacct", "sacctmgr"]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAX_SOCKET_PATH = 80  # a Unix socket's path has 108 bytes at most

CONFIG = """
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
MessageTimeout=5
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/finished.log
MinJobAge=3600
SchedulerType=sched/builtin
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,sched_interval=2
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
PriorityType=priority/basic
KillWait=2
JobRequeue=0
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
{accounting}{nodes}
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
    "CPUs={cpus} RealMemory={memory_mb} Gres=gpu:2 State=UNKNOWN\n"
)
GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"  # devices that are everywhere
NODE_SETTINGS = """
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool.%n
"""
ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
"""
DATABASE_DAEMON = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
CommunicationParameters=NoInAddrAny
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct_db
"""


class StartError(Exception):
    """There is no SLURM here, or it does not come up."""


def missing_programs(*, accounting: bool = False) -> list[str]:
    """Give the programs that are not installed."""
    programs = PROGRAMS + (ACCOUNTING_PROGRAMS if accounting else [])
    return [name for name in programs if shutil.which(name, path=SYSTEM_PATH) is None]


class LocalSlurm:
    """A controller and nodes on this host, from `start` to `stop`."""

    def __init__(self, folder: Path, *, n_nodes: int = 1, accounting: bool = False):
        """Describe a cluster whose files are all in `folder` (a short path)."""
        self.folder = folder
        self.accounting = accounting
        self._host = socket.gethostname().split(".")[0]
        self.nodes = [self._host, "localhost"][:n_nodes]  # names that resolve, for torchrun
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs: wrappers first in PATH, for SLURM_CONF is lost within jobs."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**kept, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def run(self, *command: str, check: bool = True) -> str:
        """Run a client program, and give what it prints."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise StartError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Start the daemons and wait for the nodes; `StartError` says what is amiss."""
        if missing := missing_programs(accounting=self.accounting):
            raise StartError(f"SLURM is not installed: no {', '.join(missing)}")
        if len(str(self.folder)) > MAX_SOCKET_PATH or " " in str(self.folder):
            raise StartError(f"a path that is too long for a socket or has a space: {self.folder}")
        if not _address().startswith("127."):
            raise StartError("this host's name is not that of 127.x, where the daemons listen")
        self._write_files()
        self._start_munge()
        if self.accounting:
            self._start_accounting()
        self.start_controller()
        for node in self.nodes:
            command = ["slurmd", "-D", "-f", str(self.folder / "slurm.conf"), "-N", node]
            self._spawn(node, command)
        self._wait_for("idle nodes", self._is_idle)

    def start_controller(self) -> None:
        """Start the controller, and wait until it answers; its state is what it last saved."""
        self._spawn("slurmctld", ["slurmctld", "-D", "-f", str(self.folder / "slurm.conf")])
        self._wait_for("controller", lambda: self._accepts("squeue"))

    def stop_controller(self) -> None:
        """End the controller alone: jobs run on."""
        self._end("slurmctld")

    def stop(self) -> None:
        """End jobs and daemons."""
        if "slurmctld" in self._daemons:
            self.run("scancel", f"--user={getpass.getuser()}", check=False)
            self._wait_for("ended jobs", lambda: not self.live_jobs(), must=False)
        for name in reversed(list(self._daemons)):
            self._end(name)

    def live_jobs(self) -> list[str]:
        """Give the jobs that have not ended."""
        return self.run("squeue", "-h", "-o", "%i", check=False).split()

    def _is_idle(self) -> bool:
        found = self.run("sinfo", "-h", "-N", "-o", "%T", check=False).split()
        return found == ["idle"] * len(self.nodes)

    def _write_files(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("state", "bin"):
            (self.folder / name).mkdir()
        (self.folder / "munge.key").write_bytes(secrets.token_bytes(1024))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "plugstack.conf").touch()
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # none is mounted
        (self.folder / "gres.conf").write_text(GPUS)
        controller, self._dbd_port, self._sql_port, *ports = _free_ports(3 + len(self.nodes))
        common = {"folder": self.folder, "host": self._host, "user": getpass.getuser()}
        nodes = NODE_SETTINGS.format(**common) + "".join(
            NODE.format(name=name, host=self._host, port=port, cpus=8, memory_mb=32000)
            for name, port in zip(self.nodes, ports, strict=True)
        )
        accounting = ACCOUNTING.format(**common, port=self._dbd_port) if self.accounting else ""
        (self.folder / "slurm.conf").write_text(
            CONFIG.format(**common, controller_port=controller, accounting=accounting, nodes=nodes)
        )
        for name in CLIENTS:
            if real := shutil.which(name, path=SYSTEM_PATH):
                client = self.folder / "bin" / name
                conf = self.folder / "slurm.conf"
                client.write_text(f'#!/bin/sh\nSLURM_CONF="{conf}" exec {real} "$@"\n')
                client.chmod(0o755)

    def _start_munge(self) -> None:
        command = ["munged", "--foreground", "--force", "--num-threads=2"]
        for option, name in {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }.items():
            command.append(f"--{option}={self.folder}/munge.{name}")
        self._spawn("munged", command)
        self._wait_for("munge", (self.folder / "munge.socket").exists)

    def _start_accounting(self) -> None:
        tables, data = Path("/usr/share/mysql"), self.folder / "sql"
        data.mkdir(mode=0o700)
        files = ("system_tables", "performance_tables", "system_tables_data")
        script = "create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n" + "".join(
            (tables / f"mysql_{name}.sql").read_text() for name in files
        )
        base = ["mariadbd", "--no-defaults", f"--user={getpass.getuser()}", f"--datadir={data}"]
        with (self.folder / "mariadbd.log").open("w") as output:
            subprocess.run(
                [*base, "--bootstrap", "--enforce-storage-engine="],
                input=script,
                text=True,
                stdout=output,
                stderr=output,
                env={"PATH": SYSTEM_PATH},
                check=True,
            )
        password = secrets.token_hex(12)
        first = self.folder / "first.sql"
        first.touch(mode=0o600)
        first.write_text(
            f"create user slurm@'127.0.0.1' identified by '{password}';\n"
            "grant all on slurm_acct_db.* to slurm@'127.0.0.1';\n"
        )
        options = [
            f"--socket={self.folder}/sql.socket",
            "--bind-address=127.0.0.1",
            f"--port={self._sql_port}",
            f"--init-file={first}",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=900",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        self._spawn("mariadbd", [*base, *options])
        log = self.folder / "mariadbd.log"
        self._wait_for("the database", lambda: "ready for connections" in log.read_text())
        conf = self.folder / "slurmdbd.conf"
        conf.touch(mode=0o600)
        own = {"folder": self.folder, "host": self._host, "user": getpass.getuser()}
        ports = {"port": self._dbd_port, "database_port": self._sql_port}
        conf.write_text(DATABASE_DAEMON.format(**own, **ports, password=password))
        self._spawn("slurmdbd", ["slurmdbd", "-D"])
        manage = ["sacctmgr", "-i", "-Q"]
        self._wait_for("slurmdbd", lambda: self._accepts("sacctmgr", "-n", "list", "cluster"))
        self.run(*manage, "add", "cluster", "local")
        self.run(*manage, "add", "account", "research")
        self.run(*manage, "add", "user", getpass.getuser(), "account=research")

    def _accepts(self, *command: str) -> bool:
        try:
            self.run(*command)
        except StartError:
            return False
        return True

    def _spawn(self, name: str, command: Sequence[str]) -> None:
        environment = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": str(self.folder)}
        environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        with (self.folder / f"{name}.log").open("a") as output:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],  # it ends when this process is killed
                env=environment,  # none of ours: no SLURM_*, no PYTHON*
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(timeout=15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _wait_for(self, what: str, is_there: Callable[[], bool], *, must: bool = True) -> None:
        end = time.monotonic() + 60
        while not is_there():
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if must and (ended or time.monotonic() > end):
                said = [(self.folder / f"{name}.log").read_text()[-2000:] for name in ended]
                self.stop()
                raise StartError(f"no {what}; ended: {ended}\n" + "\n".join(said))
            if time.monotonic() > end:
                return
            time.sleep(0.1)


def _address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "unknown"


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main() -> None:
    """Start a cluster and print what to export, and stop it at Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where all of it lies; it must not exist yet")
    cluster = LocalSlurm(parser.parse_args().folder.resolve())
    try:
        cluster.start()
    except (StartError, OSError) as error:
        sys.exit(str(error))
    print(f"export SLURM_CONF={cluster.folder}/slurm.conf PATH={cluster.folder}/bin:$PATH")
    print("Ctrl-C stops it.", file=sys.stderr, flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        cluster.stop()


if __name__ == "__main__":
    main()
