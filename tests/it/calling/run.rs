//! Options of a run: desired labels, and attaching to the run that holds an idempotency key.

use std::time::Duration;

use hatchet_quickstart::{
    hatchet::{
        task::{DesiredLabel, IdempotencyMethod},
        worker::Worker,
    },
    prelude::*,
};
use serde_json::json;

use super::{Json, Library, json_object, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_or_attach_returns_the_run_of_the_key() {
    let mut library = Library::start().await;
    let stub = library.stub("keyed");
    let task = stub.task(|input: Json, _| async { Ok(input) });
    library.work([task.idempotency("input.key", Duration::from_secs(600), IdempotencyMethod::Ttl)]).await;
    let input = |n: u32| json_object(json!({ "key": stub.name(), "n": n }));
    let first = within("the first run starts", library.client.run_or_attach(&stub, &input(1))).await.unwrap();
    let second = within("the second call attaches", library.client.run_or_attach(&stub, &input(2))).await.unwrap();
    assert_eq!(first.id(), second.id());
    assert_eq!(within("the run finishes", second.result()).await.unwrap(), input(1));
    let error = library.client.run_no_wait(&stub, &input(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate(Some(first.id())));
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn desired_label_of_a_run_chooses_its_worker() {
    let library = Library::start().await;
    let stub = library.stub("labeled");
    let mut workers = Vec::new();
    for model in ["small", "large"] {
        let task = stub.task(move |_: Json, _| async move { Ok(json_object(json!({ "model": model }))) });
        let name = library.target.name(model);
        let worker = Worker::new(&library.client).name(name).register(task).label("model", model);
        let mut worker = worker.start().unwrap();
        within("the worker listens", worker.listening()).await.unwrap();
        workers.push(worker);
    }
    for model in ["large", "small", "large"] {
        let label = DesiredLabel::new("model", model).required();
        let output = within("the run finishes", library.client.run(&stub, &Json::new()).desired_label(label)).await;
        assert_eq!(output.unwrap()["model"], model);
    }
    let error = library.client.run(&stub, &Json::new()).desired_label(DesiredLabel::new("", 1)).await.unwrap_err();
    assert!(error.to_string().contains("invalid desired label"), "{error}");
    for worker in workers {
        within("the worker stops", worker.stop()).await.unwrap();
    }
}
