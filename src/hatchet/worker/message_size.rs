//! The client-side limit for outgoing messages.

use prost::Message;

use crate::hatchet::{
    client::Client,
    transport::{ClientError, ErrorKind},
};

/// Fails if a message is larger than the client may send.
///
/// The transport enforces the same limit, but only while it writes the request, and its error looks like a broken
/// connection. So the size is checked before the call.
pub(super) fn check_message(client: &Client, operation: &str, message: &impl Message) -> Result<(), ClientError> {
    check_size(client, operation, message.encoded_len())
}

/// Checks a message of `size` bytes like [`check_message`].
pub(super) fn check_size(client: &Client, operation: &str, size: usize) -> Result<(), ClientError> {
    let limit = client.config().max_send_message;
    if size <= limit {
        return Ok(());
    }
    let message = format!(
        "{operation} failed: the message of {size} bytes is over the limit of {limit} bytes \
         (HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH). Send less, such as a reference to the data, or raise this limit \
         and the engine's"
    );
    Err(ClientError::new(ErrorKind::TooLarge, message))
}
