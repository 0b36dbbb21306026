"""What `workflow/rules/slurm.smk` mends of the SLURM plugin, without a SLURM."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

JOBS = ["one", "two"]


class EndedError(Exception):
    pass


@pytest.fixture
def mends(repository: Path) -> SimpleNamespace:
    """The functions of the file, which holds no rule: plain Python."""
    text = (repository / "workflow/rules/slurm.smk").read_text(encoding="utf-8")
    names = {
        "workflow": SimpleNamespace(is_main_process=False),
        "logger": logging.getLogger("snakemake"),
        "WorkflowError": EndedError,
    }
    exec(compile(text, "slurm.smk", "exec"), names)
    return SimpleNamespace(**names)


class Executor:
    """The plugin's, as far as it counts here."""

    def __init__(self, answers: bool):
        self.answers = answers
        self.workflow = SimpleNamespace(
            executor_settings=SimpleNamespace(init_seconds_before_status_checks=30)
        )
        self.next_seconds_between_status_checks = 180
        self.reports: list[tuple[object, str]] = []

    def set_up(self) -> None:
        self._status_query_calls = 0
        self.run_uuid = "abc"

    async def check_active_jobs(self, active_jobs):
        if active_jobs and self.answers:
            self._status_query_calls += 1
            yield active_jobs[0]  # the other has ended

    def _report_job_error_threadsafe(self, job_info, msg: str) -> None:
        self.reports.append((job_info.job, msg))


def ask(check, executor: Executor, jobs: list[str]) -> list[str]:
    async def collect() -> list[str]:
        return [job async for job in check(executor, jobs)]

    return asyncio.run(collect())


def test_the_first_question_may_come_before_the_plugin_is_set_up(mends) -> None:
    executor = Executor(answers=True)
    check = mends.asked_again(Executor.check_active_jobs)
    assert ask(check, executor, []) == []
    executor.set_up()
    assert ask(check, executor, JOBS) == JOBS[:1]
    assert executor.next_seconds_between_status_checks == 60  # MinJobAge is 90 at least


def test_no_job_is_given_up_while_slurm_does_not_answer(mends) -> None:
    executor = Executor(answers=False)
    executor.set_up()
    check = mends.asked_again(Executor.check_active_jobs)
    for _ in range(mends.UNANSWERED - 1):
        assert ask(check, executor, JOBS) == JOBS
    executor.answers = True
    assert ask(check, executor, JOBS) == JOBS[:1]
    executor.answers = False
    for _ in range(mends.UNANSWERED - 1):  # counted anew
        ask(check, executor, JOBS)
    with pytest.raises(EndedError, match=r"not answered 20 times.*scancel --name abc"):
        ask(check, executor, JOBS)


def test_what_cannot_be_sent_is_reported_with_its_cause(mends) -> None:
    def run_job(executor, job) -> None:
        try:
            raise ValueError("no such account")
        except ValueError:
            job.rule  # of a group: an error in its turn

    executor, job = Executor(answers=True), object()
    mends.reported(run_job)(executor, job)
    assert executor.reports == [(job, "This job cannot be sent to SLURM: no such account")]


@pytest.mark.parametrize("group", [True, False])
def test_why_a_group_failed_is_said(mends, group: bool, caplog: pytest.LogCaptureFixture) -> None:
    said = []
    tell = mends.told(lambda executor, info, msg, **details: said.append((msg, details)))
    job = SimpleNamespace(is_group=lambda: group)
    tell(None, SimpleNamespace(job=job), "CANCELLED", aux_logs=["a.log"])
    assert said == [("CANCELLED", {"aux_logs": ["a.log"]})]
    assert caplog.messages == ["CANCELLED"] * group  # a rule's own job says it without this


def test_states_of_accounting_are_single_words(mends) -> None:
    async def query(command, log):
        return {"1": "CANCELLED by 1000", "2": "COMPLETED"}, 0.1

    async def no_answer(command, log):
        return None, None

    states = asyncio.run(mends.in_a_word(query)("sacct", None))
    assert states == ({"1": "CANCELLED", "2": "COMPLETED"}, 0.1)
    assert asyncio.run(mends.in_a_word(no_answer)("sacct", None)) == (None, None)
