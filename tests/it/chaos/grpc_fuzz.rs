//! Random bytes and messages to every gRPC method of the engine. Each call must end, and the engine must keep working.

use std::str::FromStr as _;

use proptest::{prelude::*, test_runner::TestRunner};
use prost::bytes::{Buf as _, BufMut as _};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

use super::{
    fixture::within,
    table::{Row, not_on_a_real_engine},
};
use crate::support::{AuthenticatedChannel, Target};

const PROTO_FILES: [&str; 5] = [
    include_str!("../../../proto/dispatcher/dispatcher.proto"),
    include_str!("../../../proto/events/events.proto"),
    include_str!("../../../proto/workflows/workflows.proto"),
    include_str!("../../../proto/v1/dispatcher.proto"),
    include_str!("../../../proto/v1/workflows.proto"),
];

/// The paths of all methods, and whether either side streams.
fn methods() -> Vec<(PathAndQuery, bool)> {
    let mut methods = Vec::new();
    for file in PROTO_FILES {
        let (mut package, mut service) = ("", "");
        for line in file.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("package ") {
                package = name.trim_end_matches(';');
            } else if let Some(name) = line.strip_prefix("service ") {
                service = name.trim_end_matches(" {");
            } else if let Some(call) = line.strip_prefix("rpc ") {
                let name = &call[..call.find('(').unwrap()];
                let dot = if package.is_empty() { "" } else { "." };
                let path = PathAndQuery::from_str(&format!("/{package}{dot}{service}/{name}")).unwrap();
                methods.push((path, call.contains("stream ")));
            }
        }
    }
    methods
}

/// A codec that passes bytes through unchanged.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// A random field of a message, with a number in the range that the `.proto` files use.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        ".{0,30}",
        Just("{}".to_owned()),
        Just("707d0855-80ab-4e1f-a156-f1c4546cbf52".to_owned()),
        Just("a:a".to_owned()),
        "[0-9]{0,20}(ns|ms|s|m|h)",
        "[\\[{\":,}\\]a0\\\\ ]{0,20}",
    ];
    let bytes = prop_oneof![text.prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..30)];
    let leaf = prop_oneof![
        (1..30_u8, any::<u64>()).prop_map(|(number, value)| {
            let mut field = Vec::new();
            prost::encoding::encode_varint(u64::from(number) << 3, &mut field);
            prost::encoding::encode_varint(value >> (value % 64), &mut field);
            field
        }),
        (1..30_u8, bytes).prop_map(|(number, bytes)| length_delimited(number, &bytes)),
    ];
    leaf.prop_recursive(3, 20, 6, |inner| {
        (1..30_u8, proptest::collection::vec(inner, 0..6))
            .prop_map(|(number, inner)| length_delimited(number, &inner.concat()))
    })
}

/// A length-delimited field.
fn length_delimited(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_varint((u64::from(number) << 3) | 2, &mut field);
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// Calls a method and returns its status; for a stream the status of its first message.
async fn call(
    channel: AuthenticatedChannel,
    path: PathAndQuery,
    streams: bool,
    message: Vec<u8>,
) -> Result<(), Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    if !streams {
        return client.unary(Request::new(message), path, Raw).await.map(drop);
    }
    let mut responses = client.streaming(Request::new(tokio_stream::once(message)), path, Raw).await?.into_inner();
    // Most streams stay silent; a refused stream ends with its headers or immediately after.
    match tokio::time::timeout(std::time::Duration::from_millis(2), responses.message()).await {
        Ok(response) => response.map(drop),
        Err(_) => Ok(()),
    }
}

#[test]
fn engine_responds_to_every_random_message() {
    let fault = "random bytes and messages to every gRPC method of the engine";
    if not_on_a_real_engine(fault) {
        return;
    }
    let mut row = Row::new(fault);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let target = runtime.block_on(Target::start());
    let methods = methods();
    assert!(methods.len() > 30, "{methods:?}");
    let messages = prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..100),
        4 => proptest::collection::vec(field(), 0..12).prop_map(|fields| fields.concat()),
    ];
    let mut runner = TestRunner::default();
    let cases = (proptest::sample::select(methods.clone()), messages);
    let checked = runner.run(&cases, |((path, streams), message)| {
        let result = runtime.block_on(within(10, "a response", call(target.channel(), path.clone(), streams, message)));
        if let Err(status) = result {
            // The status codes of a call whose handler panicked or whose connection broke.
            let broken = matches!(status.code(), Code::Unknown | Code::Cancelled | Code::Unavailable | Code::DataLoss);
            let internal = status.code() == Code::Internal && !status.message().contains("decode");
            prop_assert!(!broken && !internal, "{path}: {status:?}");
        }
        Ok(())
    });
    checked.unwrap();
    runtime.block_on(async {
        let workflow = target.workflow("after").await;
        let mut worker = crate::support::RawWorker::start(&target, &workflow, 1).await;
        let run = target.trigger(&workflow, serde_json::json!({})).await;
        let action = worker.next_start().await;
        worker.complete(&action, "{}").await;
        target.done(&run).await;
    });
    row.add(format!(
        "{} random messages to {} methods, each with a response; a run completes afterwards",
        runner.config().cases,
        methods.len()
    ));
}
