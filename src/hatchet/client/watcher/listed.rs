//! The list of the REST API, as the second source for runs that gRPC does not find; see
//! [`run_evidence`](super::run_evidence).

use serde_json::Value;

use super::details::RunDetails;
use crate::hatchet::{
    client::RestClient,
    transport::{ClientError, ErrorKind},
    wire::{RunId, RunStatus},
};

/// Reads a run from the list; `None` if it is not listed, or not in a state that a run without tasks can have.
pub(in crate::hatchet::client) async fn listed(
    rest: &RestClient,
    run: RunId,
) -> Result<Option<RunDetails>, ClientError> {
    match rest.run(run).await {
        Ok(listed) => Ok(details(&listed["run"])),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn details(run: &Value) -> Option<RunDetails> {
    let status = RunStatus::from_name(run["status"].as_str()?)?;
    let json = |field: &str| if run[field].is_null() { "{}".to_owned() } else { run[field].to_string() };
    // The result of a completed run is in its tasks, which only gRPC returns.
    (status != RunStatus::Completed).then(|| RunDetails {
        status,
        done: status.is_final(),
        input: json("input"),
        additional_metadata: json("additionalMetadata"),
        tasks: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn listed_run_has_its_status_and_no_tasks() {
        for (status, done) in [("QUEUED", Some(false)), ("CANCELLED", Some(true)), ("COMPLETED", None), ("?", None)] {
            let details = details(&json!({ "status": status, "input": {"n": 1}, "additionalMetadata": null }));
            assert_eq!(details.as_ref().map(|details| details.done), done, "{status}");
            if let Some(details) = details {
                assert_eq!((details.status.as_str(), details.tasks.len()), (status, 0));
                assert_eq!((&*details.input, &*details.additional_metadata), (r#"{"n":1}"#, "{}"));
            }
        }
    }
}
