//! An engine that does not answer, and the word that is said about it.

use std::time::{Duration, Instant};

use crate::hatchet::client::ClientError;

/// A silence shorter than this is not worth a word.
const PATIENCE: Duration = Duration::from_secs(2);

/// Times without an answer.
#[derive(Debug, Default)]
pub(in crate::bench) struct Outage {
    /// Outages that were told of.
    pub(in crate::bench) count: usize,
    /// How long they were, in all.
    pub(in crate::bench) total: Duration,
    /// Since when submissions fail, and why.
    submitting: Option<(Instant, String)>,
    told: Option<Instant>,
}

impl Outage {
    /// A submission did not get through.
    pub(in crate::bench) fn failed(&mut self, error: &ClientError) {
        self.submitting.get_or_insert_with(|| (Instant::now(), error.to_string()));
    }

    /// A submission got through.
    pub(in crate::bench) fn answered(&mut self) {
        self.submitting = None;
    }

    /// What to say, where something has changed. `waiting` is what those who wait for ends know.
    pub(in crate::bench) fn note(&mut self, waiting: Option<(Duration, &ClientError)>) -> Option<String> {
        let submitting = self.submitting.as_ref().map(|(since, why)| (since.elapsed(), why.clone()));
        let waiting = waiting.map(|(silent, why)| (silent, why.to_string()));
        let now = submitting.into_iter().chain(waiting).filter(|(silent, _)| *silent > PATIENCE).max();
        match (now, self.told) {
            (Some((silent, why)), None) => {
                self.count += 1;
                self.told = Instant::now().checked_sub(silent);
                Some(format!(
                    "no answer from the engine for {} s ({why}): waits, and goes on when it is back",
                    silent.as_secs()
                ))
            }
            (None, Some(since)) => {
                self.told = None;
                self.total += since.elapsed();
                Some(format!("the engine answers again, after {} s", since.elapsed().as_secs()))
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
    fn each_change_is_told_once() {
        let error = ClientError::new(ErrorKind::Unreachable, "gone");
        let mut outage = Outage::default();
        assert_eq!(outage.note(Some((Duration::from_secs(1), &error))), None);
        assert!(outage.note(Some((Duration::from_secs(3), &error))).unwrap().contains("(gone)"));
        assert_eq!(outage.note(Some((Duration::from_secs(4), &error))), None);
        assert!(outage.note(None).unwrap().contains("answers again"));
        assert_eq!((outage.note(None), outage.count), (None, 1));
    }
}
