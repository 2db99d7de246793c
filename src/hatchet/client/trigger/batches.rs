//! Splits bulk triggers into calls.

use prost::Message as _;

use super::request::TriggerRequest;

/// Maximum number of runs in one call, as in the Python SDK.
pub(super) const MAX_RUNS: usize = 1_000;
/// Bytes of a call that are reserved for the envelope of the items.
const MARGIN: usize = 4 * 1024;
/// Maximum number of bytes that the encoding adds to an item: a length of up to 5 bytes and a tag of 1.
const ITEM_OVERHEAD: usize = 6;

/// Requests in calls of at most [`MAX_RUNS`] runs and the message limit.
pub(super) struct Batches {
    calls: Vec<Vec<TriggerRequest>>,
    /// The size of the last call, in bytes.
    bytes: usize,
    limit: usize,
}

impl Batches {
    /// No requests, for messages of at most `max_message` bytes.
    pub(super) fn new(max_message: usize) -> Self {
        Self { calls: Vec::new(), bytes: 0, limit: max_message.saturating_sub(MARGIN) }
    }

    pub(super) fn add(&mut self, request: TriggerRequest) {
        let size = request.message.encoded_len() + ITEM_OVERHEAD;
        match self.calls.last_mut() {
            Some(call) if call.len() < MAX_RUNS && self.bytes + size <= self.limit => {
                call.push(request);
                self.bytes += size;
            }
            _ => {
                self.calls.push(vec![request]);
                self.bytes = size;
            }
        }
    }

    pub(super) fn into_calls(self) -> Vec<Vec<TriggerRequest>> {
        self.calls
    }
}

#[cfg(test)]
mod tests {
    use super::{super::request::SearchIds, *};
    use crate::hatchet::wire::{TriggerId, proto::v1::TriggerWorkflowRequest};

    fn sizes(limit: usize, inputs: &[usize]) -> Vec<usize> {
        let mut batches = Batches::new(limit);
        for (index, size) in inputs.iter().enumerate() {
            let message = TriggerWorkflowRequest { input: "x".repeat(*size), ..Default::default() };
            let ids = SearchIds { trigger: TriggerId::random(), call: None };
            batches.add(TriggerRequest { index, ids, message });
        }
        batches.into_calls().iter().map(Vec::len).collect()
    }

    #[test]
    fn calls_are_split_by_number_and_size() {
        assert_eq!(sizes(usize::MAX, &[1; 2_001]), [1_000, 1_000, 1]);
        assert_eq!(sizes(MARGIN + 250, &[100, 100, 100, 300, 1]), [2, 1, 1, 1]);
        assert!(sizes(MARGIN + 250, &[]).is_empty());
    }
}
