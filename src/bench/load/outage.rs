//! Detects outages, in which the engine does not respond or refuses all submissions. Reports the start and the end of
//! each outage once.

use std::time::{Duration, Instant};

use crate::hatchet::{
    client::{ClientError, may_have_started},
    wire::readable_duration,
};

/// Time after which an outage is reported: 2 s.
const REPORT_AFTER: Duration = Duration::from_secs(2);

const NO_RESPONSE: &str = "no response from the engine";
const REFUSED: &str = "the engine has refused all submissions";

/// The outages of a benchmark.
#[derive(Debug, Default)]
pub(super) struct OutageTracker {
    /// Number of reported outages.
    pub(super) count: usize,
    /// Total duration of the outages that have ended.
    pub(super) total: Duration,
    /// Time at which submissions started to fail, the description of the problem, and the first error.
    failing_since: Option<(Instant, &'static str, String)>,
    /// Start of the current outage, if it was reported.
    reported: Option<Instant>,
}

impl OutageTracker {
    /// Records a submission that failed.
    pub(super) fn submission_failed(&mut self, error: &ClientError) {
        let is_refusal = !error.never_sent() && !may_have_started(error);
        let problem = if is_refusal { REFUSED } else { NO_RESPONSE };
        self.failing_since.get_or_insert_with(|| (Instant::now(), problem, error.to_string()));
    }

    /// Records a submission that got a response.
    pub(super) fn submission_responded(&mut self) {
        self.failing_since = None;
    }

    /// Returns a line for the user when an outage has started or ended. `waiting` is the time for which waiting for
    /// outcomes has failed, with the error.
    pub(super) fn update(&mut self, waiting: Option<(Duration, &ClientError)>) -> Option<String> {
        let submitting =
            self.failing_since.as_ref().map(|(since, problem, error)| (since.elapsed(), *problem, error.clone()));
        let waiting = waiting.map(|(silence, error)| (silence, NO_RESPONSE, error.to_string()));
        let longest = submitting.into_iter().chain(waiting).filter(|(time, ..)| *time > REPORT_AFTER).max();
        match (longest, self.reported) {
            (Some((time, problem, error)), None) => {
                self.count += 1;
                self.reported = Instant::now().checked_sub(time);
                let time = readable_duration(time);
                Some(format!("{problem} for {time}: {error}. The benchmark retries until its time limit"))
            }
            (None, Some(since)) => {
                self.reported = None;
                self.total += since.elapsed();
                Some(format!("the engine responds again, after {}", readable_duration(since.elapsed())))
            }
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::client::ErrorKind;

    #[test]
    fn start_and_end_are_reported_once() {
        let error = ClientError::new(ErrorKind::Unreachable, "gone");
        let mut outages = OutageTracker::default();
        assert_eq!(outages.update(Some((Duration::from_secs(1), &error))), None);
        assert!(outages.update(Some((Duration::from_secs(3), &error))).unwrap().contains(": gone."));
        assert_eq!(outages.update(Some((Duration::from_secs(4), &error))), None);
        assert!(outages.update(None).unwrap().contains("responds again"));
        assert_eq!((outages.update(None), outages.count), (None, 1));
    }
}
