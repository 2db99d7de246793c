//! Prints the results of a finished benchmark and determines the exit code.

use std::path::Path;

use super::display::{print_note, print_result};
use crate::{
    bench::{BenchmarkResult, EndReason, RUN_KEY, Summary},
    cli::{
        Exit, browser,
        connection::CommandRenderer,
        output::{OutputFormat, print_message},
    },
};

/// A benchmark that has completed or was stopped, and the options of its output.
pub(super) struct FinishedBenchmark<'a> {
    pub(super) result: &'a BenchmarkResult,
    pub(super) prefix: &'a str,
    pub(super) folder: &'a Path,
    pub(super) before: Option<&'a Summary>,
    pub(super) format: OutputFormat,
    pub(super) commands: &'a CommandRenderer,
    /// Whether to omit the path of the report.
    pub(super) quiet: bool,
    /// Whether to open the report in a browser.
    pub(super) open: bool,
}

impl FinishedBenchmark<'_> {
    /// Prints the results and the path of the report, and opens the report if requested.
    pub(super) async fn print(&self) -> Result<(), Exit> {
        print_result(self.result, self.before, self.format)?;
        for line in &self.result.write_errors {
            print_note(line);
        }
        if self.result.write_errors.is_empty() {
            let report = self.folder.join("report.html");
            if !self.quiet {
                print_message(&format!("report: {}", report.display()));
            }
            if self.open
                && let Err(reason) = browser::open(&report, &format!("Open {} in a browser", report.display())).await
            {
                print_note(&format!("opening the report failed: {reason}"));
            }
        }
        Ok(())
    }

    /// Returns the exit code. The first failure in this order determines it: an interruption, the time limit, an
    /// incomplete report, a violation of deduplication, runs whose start is unknown, failed runs.
    pub(super) fn exit(&self) -> Result<(), Exit> {
        let summary = &self.result.summary;
        let all = summary.all();
        let open = all.unaccounted + all.unconfirmed + all.not_submitted;
        match self.result.end {
            EndReason::Interrupted => {
                let advice = if all.unconfirmed > 0 { self.unconfirmed_advice() } else { self.continue_advice() };
                return Err(Exit::interrupted(format!(
                    "interrupted: {open} of {} runs have not finished. {advice}",
                    all.total
                )));
            }
            // Starting again could execute runs twice, so this is reported before the timeout.
            EndReason::TimedOut if all.unconfirmed > 0 => return Err(self.unconfirmed()),
            EndReason::TimedOut => {
                let advice = self.continue_advice();
                return Err(Exit::timed_out(format!(
                    "{open} of {} runs have not finished in time. {advice}",
                    all.total
                )));
            }
            EndReason::Completed => {}
        }
        if !self.result.write_errors.is_empty() {
            return Err(Exit::usage("the report is incomplete: see the errors above"));
        }
        if let Some(violation) = summary.dedupe.verified.as_ref().and_then(|verified| verified.violations.first()) {
            return Err(Exit::failed(format!("deduplication failed: {violation}")));
        }
        if all.unconfirmed > 0 {
            return Err(self.unconfirmed());
        }
        if summary.is_success() {
            Ok(())
        } else {
            Err(Exit::failed(format!("{} runs did not complete", all.total - all.completed)))
        }
    }

    fn unconfirmed(&self) -> Exit {
        let all = self.result.summary.all();
        Exit::unconfirmed(format!(
            "it is not known whether {} of {} runs started. {}",
            all.unconfirmed,
            all.total,
            self.unconfirmed_advice()
        ))
    }

    /// Returns the advice for runs that have not finished.
    fn continue_advice(&self) -> String {
        let prefix = self.prefix;
        if self.result.summary.dedupe.enabled {
            format!("Continue with the same command and `--key-prefix {prefix}`")
        } else {
            format!(
                "Dedupe is off, so the same command with `--key-prefix {prefix}` and another `--out DIR` starts all \
                 runs again"
            )
        }
    }

    /// Returns the advice for runs whose start is unknown. With dedupe, repeating the benchmark attaches to them.
    /// Without dedupe, it would start them a second time.
    fn unconfirmed_advice(&self) -> String {
        let find = self.commands.render(&["runner", "--find", &format!("{RUN_KEY}=KEY")]);
        let find =
            format!("Search for each with `{find}` and its key from runs.jsonl, where `accepted_as` is `unanswered`");
        if self.result.summary.dedupe.enabled { format!("{}. {find}", self.continue_advice()) } else { find }
    }
}
