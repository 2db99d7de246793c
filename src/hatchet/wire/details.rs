//! Error details of a gRPC status: a `google.rpc.Status` in the metadata `grpc-status-details-bin`.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// Encodes one detail. `name` is the message's full name, such as `v1.IdempotencyCollisionError`.
pub fn encode_detail(code: i32, text: &str, name: &str, detail: &impl Message) -> Vec<u8> {
    let any = prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: detail.encode_to_vec() };
    RpcStatus { code, message: text.to_owned(), details: vec![any] }.encode_to_vec()
}

/// Decodes the detail with this full name. `None` if the bytes contain no such detail.
pub fn decode_detail<M: Message + Default>(bytes: &[u8], name: &str) -> Option<M> {
    let status = RpcStatus::decode(bytes).ok()?;
    let any = status.details.iter().find(|any| any.type_url.rsplit('/').next() == Some(name))?;
    M::decode(any.value.as_slice()).ok()
}
