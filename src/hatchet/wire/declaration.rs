//! Workflow declarations as sent by clients.

use prost::Message as _;

use super::proto::v1::CreateWorkflowVersionRequest;

/// The message of a workflow declaration, which is compared for equality and stored unchanged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declaration(CreateWorkflowVersionRequest);

impl Declaration {
    /// Decodes a stored declaration. The error names the damaged field.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        CreateWorkflowVersionRequest::decode(bytes).map(Self).map_err(|e| e.to_string())
    }

    /// Encodes the declaration for storage.
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// Length of the encoded declaration in bytes.
    pub fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }

    /// The message, for validation.
    pub fn message(&self) -> &CreateWorkflowVersionRequest {
        &self.0
    }
}

impl From<CreateWorkflowVersionRequest> for Declaration {
    fn from(message: CreateWorkflowVersionRequest) -> Self {
        Self(message)
    }
}

#[cfg(all(test, feature = "engine"))]
impl Declaration {
    /// A declaration for tests. Two samples are equal if their descriptions are.
    pub(crate) fn sample(description: &str) -> Self {
        Self(CreateWorkflowVersionRequest { description: description.into(), ..Default::default() })
    }
}
