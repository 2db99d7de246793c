//! Random input for every parser of outside text. Each must return a value or an error, without a secret in its text.
//!
//! `PROPTEST_CASES` sets the number of cases. A case that fails becomes a unit test next to the parser.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hatchet_quickstart::{
    engine::{Engine, EngineOptions, find},
    hatchet::{
        client::{ClientConfig, Sources},
        system::Handshake,
        task::{Stub, TaskError},
        wire::{Claims, RunStatus, parse_duration},
    },
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use super::{
    fixture::{TestEngine, trigger, within, worker},
    table::not_on_a_real_engine,
};

/// Bytes that often resemble JSON.
fn almost_json() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[\\[{\":,}\\]a-f0-9\\\\ eEx.+-]{0,60}".prop_map(String::into_bytes),
        (".{0,20}", ".{0,20}", ".{0,40}").prop_map(|(token, address, url)| {
            let text = json!({ "token": token, "tenant_id": "t", "grpc_address": address, "api_url": url });
            text.to_string().into_bytes()
        }),
    ]
}

fn claims() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        ".{0,20}".prop_map(|text| Value::String(text).to_string()),
        Just("null".to_owned()),
        Just("[[[[{}]]]]".to_owned()),
        Just(r#""707d0855-80ab-4e1f-a156-f1c4546cbf52""#.to_owned()),
    ];
    let name = prop_oneof![Just("sub"), Just("exp"), Just("grpc_broadcast_address"), Just("server_url"), Just("iat")];
    proptest::collection::vec((name, value), 0..6).prop_map(|claims| {
        let claims: Vec<String> = claims.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
        format!("{{{}}}", claims.join(","))
    })
}

proptest! {
    #[test]
    fn token_parser_accepts_or_refuses_any_text(head in "(ey)?[a-zA-Z0-9]{0,9}", claims in claims(), cut in any::<prop::sample::Index>()) {
        let whole = format!("{head}.{}.c2ln", URL_SAFE_NO_PAD.encode(&claims));
        for token in [whole.as_str(), &whole[..cut.index(whole.len() + 1)]] {
            let _ = Claims::read_unverified(token);
            let sources = Sources::from_pairs([("HATCHET_CLIENT_TOKEN", token)]);
            if let Err(error) = ClientConfig::from_sources(&sources) {
                let text = format!("{error} {error:?}");
                // A short token may occur by chance; a longer one must not.
                prop_assert!(token.len() < 12 || !text.contains(token), "{text}");
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn env_file_parser_accepts_or_refuses_any_text(bytes in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "(HATCHET_[A-Z]{1,3}|export|[a-z]|=|\"|'|\\$|\\{|\\}|#|\n|\\\\| ){0,30}".prop_map(String::into_bytes),
    ]) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), &bytes).unwrap();
        let sources = Sources::read(folder.path());
        for warning in sources.warnings() {
            prop_assert!(warning.starts_with(".env") && !warning.contains('\n'), "{warning:?}");
        }
    }

    #[test]
    fn duration_parser_accepts_or_refuses_any_text(text in prop_oneof![".{0,20}", "[0-9.]{0,25}(ns|us|ms|s|m|h|d)?[0-9]{0,3}(s|m)?"]) {
        let _ = parse_duration(&text);
    }

    #[test]
    fn handshake_parser_accepts_or_refuses_any_text(bytes in almost_json()) {
        if let Ok(handshake) = serde_json::from_slice::<Handshake>(&bytes) {
            let _ = ClientConfig::from_handshake(&handshake, &Sources::default());
            let shown = format!("{handshake:?}").contains(&format!("token: {:?}", handshake.token));
            prop_assert!(!shown || handshake.token == "[redacted]");
        }
    }
}

/// Overwrites the handshake file of a running engine with random bytes.
#[test]
fn handshake_file_reader_accepts_or_refuses_any_bytes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions { folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
    let engine = runtime.block_on(Engine::start(options)).unwrap();
    let file = folder.path().join("handshake.json");
    let valid = std::fs::read(&file).unwrap();
    let search = |folder: &Path| find(folder).map(|found| found.is_some());
    let mut runner = TestRunner::default();
    let strategy = prop_oneof![
        almost_json(),
        any::<prop::sample::Index>().prop_map(move |length| valid[..length.index(valid.len())].to_vec()),
    ];
    let checked = runner.run(&strategy, |bytes| {
        std::fs::write(&file, &bytes).unwrap();
        if let Err(error) = search(folder.path()) {
            prop_assert!(error.to_string().contains("handshake.json"), "{error}");
        }
        Ok(())
    });
    checked.unwrap();
    runtime.block_on(engine.stop());
}

/// The error text of a task reaches the caller unchanged, except that line ends are escaped as in the Python SDK.
#[test]
fn error_text_of_any_content_is_reported() {
    if not_on_a_real_engine("error texts") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (_engine, client, running) = runtime.block_on(async {
        let engine = TestEngine::start().await;
        let task = Stub::new("fails").task(|input: Map<String, Value>, _| async move {
            Err::<Map<String, Value>, _>(TaskError::fatal(input["text"].as_str().unwrap_or_default().to_owned()))
        });
        let running = worker(&engine.config, [task]).await;
        let client = engine.client();
        (engine, client, running)
    });
    let texts = prop_oneof![".{0,60}", "(\\\\|\n|\r|\"|\\{|\\}|: |a|%|é){0,40}"];
    let texts = texts.prop_filter("the client refuses an input with NUL", |text| !text.contains('\0'));
    let mut runner = TestRunner::default();
    let checked = runner.run(&texts, |text| {
        runtime.block_on(async {
            let run = trigger(&client, "fails", &json!({ "text": text })).await;
            let outcome = within(30, "the run finishes", run.outcome()).await.unwrap();
            prop_assert_eq!(&outcome.status, &RunStatus::Failed);
            let error = outcome.error.unwrap_or_default();
            let expected = format!("TaskError: {}\n", text.replace('\n', "\\\n"));
            prop_assert!(error.starts_with(&expected), "{error:?} for {text:?}");
            Ok(())
        })
    });
    checked.unwrap();
    runtime.block_on(running.stop()).unwrap();
}
