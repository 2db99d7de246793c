//! Rate limits, and the worker labels that a run requires or prefers.

use std::time::SystemTime;

use super::{
    Client, ClientError,
    template::{check_time, text},
};
use crate::hatchet::{
    task::{DesiredLabel, LabelComparator, LabelValue, Window},
    transport::{retry, when_temporary},
    wire::proto::{PauseRateLimitRequest, PutRateLimitRequest, v1},
};

impl Client {
    /// Sets the units of each window of a rate limit with a fixed key, to which tasks refer by
    /// [`RateLimit::of`](crate::hatchet::task::RateLimit::of). Creates the limit if it does not exist. Retries
    /// temporary failures.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](super::ErrorKind::Invalid) for an empty key or more than 2,147,483,647 units; otherwise
    /// the error of the last attempt.
    pub async fn put_rate_limit(&self, key: &str, units: u32, window: Window) -> Result<(), ClientError> {
        text("rate limit key", key)?;
        let limit = i32::try_from(units).map_err(|_| {
            super::template::invalid(format!("invalid rate limit units \"{units}\": use at most {}", i32::MAX))
        })?;
        let request = PutRateLimitRequest { key: key.to_owned(), limit, duration: window.number() };
        retry(when_temporary, || {
            let (request, connection) = (request.clone(), self.connection());
            async move {
                let response = connection.workflows().put_rate_limit(request).await;
                response.map_err(|status| connection.call_error("setting a rate limit", status))
            }
        })
        .await?;
        Ok(())
    }

    /// Pauses a rate limit: until `until`, no task that needs its units is assigned. An earlier time never shortens a
    /// pause. Returns the end of the pause. Retries temporary failures. Requires an engine of version 0.114 or later.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](super::ErrorKind::Invalid) for an empty key or a time before 1970 or after 9999,
    /// [`ErrorKind::NotFound`](super::ErrorKind::NotFound) for an unknown key,
    /// [`ErrorKind::Unsupported`](super::ErrorKind::Unsupported) for an older engine; otherwise the error of the last
    /// attempt.
    pub async fn pause_rate_limit(&self, key: &str, until: SystemTime) -> Result<SystemTime, ClientError> {
        text("rate limit key", key)?;
        let until = check_time(Some(until))?;
        let request = PauseRateLimitRequest { key: key.to_owned(), paused_until: Some(until.into()) };
        let response = retry(when_temporary, || {
            let (request, connection) = (request.clone(), self.connection());
            async move {
                let response = connection.workflows().pause_rate_limit(request).await;
                response.map_err(|status| connection.call_error("pausing a rate limit", status))
            }
        });
        let paused_until = response.await?.into_inner().paused_until;
        Ok(paused_until.and_then(|time| time.try_into().ok()).unwrap_or(until))
    }
}

/// Converts a worker label that a task or a run requires or prefers.
pub(in crate::hatchet) fn desired_label(label: &DesiredLabel) -> v1::DesiredWorkerLabels {
    let comparator = match label.comparator {
        LabelComparator::Equal => v1::WorkerLabelComparator::Equal,
        LabelComparator::NotEqual => v1::WorkerLabelComparator::NotEqual,
        LabelComparator::GreaterThan => v1::WorkerLabelComparator::GreaterThan,
        LabelComparator::GreaterThanOrEqual => v1::WorkerLabelComparator::GreaterThanOrEqual,
        LabelComparator::LessThan => v1::WorkerLabelComparator::LessThan,
        LabelComparator::LessThanOrEqual => v1::WorkerLabelComparator::LessThanOrEqual,
    };
    let (str_value, int_value) = match &label.value {
        LabelValue::Text(text) => (Some(text.clone()), None),
        LabelValue::Number(number) => (None, Some(*number)),
    };
    v1::DesiredWorkerLabels {
        str_value,
        int_value,
        required: Some(label.is_required),
        comparator: Some(comparator.into()),
        weight: label.weight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::wire::proto::RateLimitDuration;

    #[test]
    fn number_of_window_is_that_of_both_protocols() {
        let windows = [
            (Window::Second, "SECOND"),
            (Window::Minute, "MINUTE"),
            (Window::Hour, "HOUR"),
            (Window::Day, "DAY"),
            (Window::Week, "WEEK"),
            (Window::Month, "MONTH"),
            (Window::Year, "YEAR"),
        ];
        for (window, name) in windows {
            assert_eq!(RateLimitDuration::from_str_name(name).map(i32::from), Some(window.number()));
            assert_eq!(v1::RateLimitDuration::from_str_name(name).map(i32::from), Some(window.number()));
        }
    }
}
