"""SLURM that does not answer for a while, as when its controller is restarted: no job is forgotten."""

UNANSWERED = 20  # questions in a row after which a run is ended: 10 minutes at least


def asked_again(check):
    """Mend `check_active_jobs` of the SLURM plugin (2.8.0), which gives up the jobs it asked for
    when no answer came: the run would wait for them for ever."""

    async def check_active_jobs(executor, active_jobs):
        answers = executor._status_query_calls
        async for job in check(executor, active_jobs):
            yield job
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
    EXECUTOR = sys.modules["snakemake_executor_plugin_slurm"].Executor
    EXECUTOR.check_active_jobs = asked_again(EXECUTOR.check_active_jobs)
