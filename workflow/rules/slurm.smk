"""What the SLURM plugin (2.8) waits for without an end, or does not say: mended."""

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

UNANSWERED = 20  # questions in a row after which a run is ended: 10 minutes at least


def reported(run_job):
    """Mend `run_job`, whose thread ends with the job of a group that it cannot send."""

    def report_errors(executor, job):
        try:
            run_job(executor, job)
        except Exception as error:
            why = error.__context__ or error  # the plugin looks for the group's rule, to name it
            executor._report_job_error_threadsafe(
                SubmittedJobInfo(job), f"This job cannot be sent to SLURM: {why}"
            )

    return report_errors


def told(print_job_error):
    """Mend `print_job_error`: of a group Snakemake says that it failed, and not why."""

    def print_why(executor, job_info, msg=None, **details):
        if msg and job_info.job.is_group():
            logger.error(msg)
        print_job_error(executor, job_info, msg, **details)

    return print_why


def in_a_word(query):
    """Mend `query_job_status`: accounting says `CANCELLED by USER`, which the plugin knows not."""

    async def query_job_status(command, log):
        states, seconds = await query(command, log)
        if states is not None:
            states = {job: state.partition(" ")[0] for job, state in states.items()}
        return states, seconds

    return query_job_status


def asked_again(check):
    """Mend `check_active_jobs`: a SLURM that does not answer for a while, as when its controller is
    restarted, makes it give up all jobs; and it may ask later than SLURM remembers them."""

    async def check_active_jobs(executor, active_jobs):
        # The first question, of no job, may come before the plugin has set itself up.
        answers = getattr(executor, "_status_query_calls", 0)
        async for job in check(executor, active_jobs):
            yield job
        # The plugin wants SLURM to remember a job for three times the first interval.
        first = executor.workflow.executor_settings.init_seconds_before_status_checks
        executor.next_seconds_between_status_checks = min(
            executor.next_seconds_between_status_checks, 2 * first
        )
        if not active_jobs or executor._status_query_calls > answers:
            executor.unanswered = 0
            return
        executor.unanswered = getattr(executor, "unanswered", 0) + 1
        if executor.unanswered == UNANSWERED:
            raise WorkflowError(
                f"SLURM has not answered {UNANSWERED} times, so this run is ended. Its jobs may run "
                f"on: once `squeue` answers, `scancel --name {executor.run_uuid}`, and start again "
                "with the same command. What is finished is kept, and a training goes on."
            )
        logger.warning("SLURM does not answer: its jobs are asked for again.")
        for job in active_jobs:
            yield job

    return check_active_jobs


# Snakemake has imported every executor that is installed.
if workflow.is_main_process and "snakemake_executor_plugin_slurm" in sys.modules:
    PLUGIN = sys.modules["snakemake_executor_plugin_slurm"]
    PLUGIN.query_job_status = in_a_word(PLUGIN.query_job_status)
    PLUGIN.Executor.run_job = reported(PLUGIN.Executor.run_job)
    PLUGIN.Executor.print_job_error = told(PLUGIN.Executor.print_job_error)
    PLUGIN.Executor.check_active_jobs = asked_again(PLUGIN.Executor.check_active_jobs)
    if shutil.which("sacct") is None:  # which is asked for an account where none is given
        PLUGIN.get_account = lambda logger: None
