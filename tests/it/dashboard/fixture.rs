//! A shop's workflows on an engine, and a browser tab that shows the dashboard.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hatchet_quickstart::{
    hatchet::{
        client::Client,
        task::{ErasedWorkflow, LogLevel},
        worker::{RunningWorker, WorkerOptions},
    },
    prelude::*,
};
use serde_json::Value;
use tokio::{runtime::Handle, sync::Semaphore};

use crate::support::{Embedded, Tab, Target, browser, named, within_timeout};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Number of the order.
    pub order: u32,
    /// Total in cents.
    pub total: u32,
    pub items: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Email {
    pub to: String,
    pub subject: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Images {
    pub images: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    pub image: String,
    pub width: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub text: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    pub done: bool,
}

const DONE: Done = Done { done: true };

/// An engine with a worker of these workflows:
///
/// | workflow | behavior |
/// |---|---|
/// | `fulfill-order` | five tasks; the card of an order of 0 cents is refused |
/// | `send-email` | an address with `bounce` fails immediately, one with `slow` fails once and is retried |
/// | `resize-images` | a child run of `resize-image` for each image |
/// | `summarize` | sends a word and logs a line for each permit of [`Shop::permits`] |
/// | `nightly-report` | has a cron |
/// | `greet-customer` | is triggered by events `customer:*` |
/// | `sync-stock` | runs until it is cancelled |
pub struct Shop {
    pub target: Target,
    pub client: Client,
    pub permits: Arc<Semaphore>,
    worker: RunningWorker,
}

impl Shop {
    pub async fn start() -> Self {
        Self::on(Target::embedded(Embedded::start().await)).await
    }

    pub async fn on(target: Target) -> Self {
        let client = target.client();
        let permits = Arc::new(Semaphore::new(0));
        let options =
            WorkerOptions { name: "shop".to_owned(), grace: Duration::ZERO, slots: 12, ..WorkerOptions::default() };
        let worker = Worker::new(&client).options(options).register_all(workflows(&permits));
        let mut worker = worker.start().unwrap();
        within_timeout("the worker listens", worker.listening()).await.unwrap();
        Self { target, client, permits, worker }
    }

    /// Sends words of the run of `summarize` that the page shows, until the page shows one: its stream starts with the
    /// chunk after it is opened.
    #[track_caller]
    pub fn send_words_until_shown(&self, page: &mut Page) {
        self.send_words_until(page, "!!document.querySelector('pre.stream')?.innerText.includes('word')");
    }

    /// Like [`Self::send_words_until_shown`], for a stream that is opened again: until the page shows a word after the
    /// mark of the gap.
    #[track_caller]
    pub fn send_words_until_shown_after_gap(&self, page: &mut Page) {
        let shown = "/— chunks may be missing —[^]*word/.test(document.querySelector('pre.stream')?.innerText ?? '')";
        self.send_words_until(page, shown);
    }

    /// Sends at most 100 words.
    #[track_caller]
    fn send_words_until(&self, page: &mut Page, shown: &str) {
        for _ in 0..100 {
            self.permits.add_permits(1);
            if page.value(shown) == true {
                break;
            }
            page.wait(tokio::time::sleep(Duration::from_millis(50)));
        }
        page.until(shown);
    }

    /// Starts a run with these pairs of metadata, and returns its id.
    pub async fn trigger<I: Serialize>(&self, workflow: &str, input: &I, metadata: &[(&str, &str)]) -> String {
        let mut call = self.client.run_no_wait(&named::<I>(workflow), input);
        for (key, value) in metadata {
            call = call.metadata(key, *value);
        }
        call.await.unwrap().id().to_string()
    }

    /// Starts a run and waits for its end.
    pub async fn run<I: Serialize>(&self, workflow: &str, input: &I, metadata: &[(&str, &str)]) -> String {
        let id = self.trigger(workflow, input, metadata).await;
        self.target.done(&id).await;
        id
    }

    pub async fn stop(self) {
        self.worker.stop().await.unwrap();
    }
}

pub fn order(order: u32, total: u32) -> Order {
    Order { order, total, items: vec!["lamp".to_owned(), "chair".to_owned()] }
}

pub fn email(to: &str) -> Email {
    Email { to: to.to_owned(), subject: "Your order has shipped".to_owned() }
}

pub fn images(names: &[&str]) -> Images {
    Images { images: names.iter().map(|name| (*name).to_owned()).collect() }
}

fn workflows(permits: &Arc<Semaphore>) -> Vec<ErasedWorkflow> {
    let permits = permits.clone();
    vec![
        fulfill_order().into(),
        Stub::<Email, Done>::new("send-email")
            .task(send_email)
            .retries(2)
            .description("Sends an email to a customer.")
            .into(),
        Stub::<Images, Done>::new("resize-images").task(resize_images).into(),
        Stub::<Image, Done>::new("resize-image").task(resize_image).into(),
        Stub::<Summary, Summary>::new("summarize")
            .task(move |input, ctx| summarize(input, ctx, permits.clone()))
            .into(),
        Stub::<Summary, Summary>::new("nightly-report")
            .task(|input, _| async move { Ok(input) })
            .on_cron("0 3 * * *")
            .cron_input(&Summary { text: "sales of yesterday".to_owned() })
            .into(),
        Stub::<Email, Done>::new("greet-customer").task(|_, _| async move { Ok(DONE) }).on_event("customer:*").into(),
        Stub::<Summary, Done>::new("sync-stock").task(sync_stock).into(),
    ]
}

fn fulfill_order() -> Workflow<Order, Done> {
    Stub::<Order, Done>::new("fulfill-order").output_of("send-receipt").workflow(|flow| {
        let reserved = flow.task("reserve-stock", |order: Order, ctx: Context| async move {
            ctx.log(format!("reserved {} items of order {}", order.items.len(), order.order));
            Ok(DONE)
        });
        let charged = flow.task("charge-card", |order: Order, ctx: Context| async move {
            if order.total == 0 {
                ctx.log_at(LogLevel::Error, "the payment provider refused the card");
                return Err(TaskError::fatal("card refused: the total is 0"));
            }
            ctx.log(format!("charged {} cents", order.total));
            Ok(DONE)
        });
        let packed = flow.parents(&reserved).task("pack", |_, _, ctx: Context| async move {
            ctx.log_at(LogLevel::Warn, "no box of this size: using a larger one");
            Ok(DONE)
        });
        let shipped = flow.parents((&packed, &charged)).task("ship", |_, _, _| async move { Ok(DONE) });
        flow.parents(&shipped).task("send-receipt", |_, _, _| async move { Ok(DONE) })
    })
}

async fn send_email(email: Email, ctx: Context) -> Result<Done, TaskError> {
    ctx.log(format!("connecting to the mail server of {}", email.to));
    if email.to.contains("bounce") {
        return Err(TaskError::fatal(format!("550 mailbox unavailable: {}", email.to)));
    }
    if email.to.contains("slow") && ctx.retry_count() == 0 {
        return Err(TaskError::new("421 try again later"));
    }
    Ok(DONE)
}

async fn resize_images(input: Images, ctx: Context) -> Result<Done, TaskError> {
    let image = Stub::<Image, Done>::new("resize-image");
    let inputs = input.images.into_iter().map(|image| Image { image, width: 800 });
    for resized in ctx.run_many(&image, inputs).await {
        resized?;
    }
    Ok(DONE)
}

async fn resize_image(input: Image, ctx: Context) -> Result<Done, TaskError> {
    ctx.log(format!("{} to {} pixels", input.image, input.width));
    if input.image.ends_with(".txt") {
        return Err(TaskError::fatal(format!("{} is not an image", input.image)));
    }
    Ok(DONE)
}

async fn summarize(input: Summary, ctx: Context, permits: Arc<Semaphore>) -> Result<Summary, TaskError> {
    for word in input.text.split_inclusive(' ') {
        tokio::select! {
            permit = permits.acquire() => permit.map_err(TaskError::new)?.forget(),
            reason = ctx.cancelled() => return Err(TaskError::cancelled(reason)),
        }
        ctx.put_stream(word).await;
        ctx.log(format!("wrote {:?}", word.trim_end()));
    }
    Ok(input)
}

async fn sync_stock(_: Summary, ctx: Context) -> Result<Done, TaskError> {
    Err(TaskError::cancelled(ctx.cancelled().await))
}

/// Runs a test in a browser that is signed in to the dashboard of an engine. Does nothing without a browser.
///
/// The calls of the browser block; the worker and the engine continue on the other threads of the runtime.
pub fn browse(target: &Target, test: impl FnOnce(&mut Page)) {
    let Some(program) = browser() else { return };
    tokio::task::block_in_place(|| {
        let folder = tempfile::tempdir().unwrap();
        let tab = Tab::open(&program, folder.path());
        let mut page = Page { tab, address: target.rest.base().to_owned(), folder };
        page.load(&format!("/#token={}", target.token));
        page.until("!document.getElementById('main').hidden");
        test(&mut page);
        assert!(page.tab.errors().is_empty(), "{:?}", page.tab.errors());
    });
}

/// The dashboard in a browser.
pub struct Page {
    pub tab: Tab,
    address: String,
    folder: tempfile::TempDir,
}

impl Page {
    /// Loads the dashboard at this path.
    #[track_caller]
    pub fn load(&mut self, path: &str) {
        let address = format!("{}{path}", self.address);
        self.tab.call("Page.navigate", serde_json::json!({ "url": address }));
        self.until("document.readyState === 'complete' && !!document.getElementById('main')");
    }

    /// Follows a link to this hash and waits for the title of the view.
    #[track_caller]
    pub fn open(&mut self, hash: &str, title: &str) {
        self.value(&format!("location.hash = {hash:?}"));
        self.until_text("#title", title);
    }

    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        self.tab.value(expression)
    }

    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        self.tab.until(expression);
    }

    /// Waits until the text of the first element that matches contains a text.
    #[track_caller]
    pub fn until_text(&mut self, selector: &str, text: &str) {
        self.until(&format!("!!document.querySelector({selector:?})?.innerText.includes({text:?})"));
    }

    /// Waits until this number of elements match.
    #[track_caller]
    pub fn until_count(&mut self, selector: &str, count: usize) {
        self.until(&format!("document.querySelectorAll({selector:?}).length === {count}"));
    }

    #[track_caller]
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.innerText ?? null"));
        text.as_str().unwrap_or_else(|| panic!("no {selector}")).to_owned()
    }

    /// Clicks the first element that matches.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        self.until(&format!("!!document.querySelector({selector:?})"));
        self.value(&format!("document.querySelector({selector:?}).click()"));
    }

    /// Clicks the button or link of the page with this text.
    #[track_caller]
    pub fn press_button(&mut self, text: &str) {
        let find = format!(
            "[...document.querySelectorAll('dialog[open] button, button, a.button')].find((one) => one.innerText === {text:?} && !one.disabled)"
        );
        self.until(&format!("!!{find}"));
        self.value(&format!("{find}.click()"));
    }

    /// Replaces the text of an input, like a user.
    #[track_caller]
    pub fn fill(&mut self, selector: &str, text: &str) {
        self.value(&format!(
            "{{ const node = document.querySelector({selector:?}); node.focus(); node.value = {text:?}; \
             node.dispatchEvent(new Event('input', {{ bubbles: true }})); node.dispatchEvent(new Event('change', {{ bubbles: true }})); }}"
        ));
    }

    /// Presses a key, such as `j` or `Enter`.
    #[track_caller]
    pub fn key(&mut self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            "Escape" => "",
            other => other,
        };
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            _ => 0,
        };
        let down = serde_json::json!({ "type": if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.tab.call("Input.dispatchKeyEvent", down);
        self.tab.call(
            "Input.dispatchKeyEvent",
            serde_json::json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }),
        );
    }

    /// Waits for a future while the page stays open.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        Handle::current().block_on(future)
    }

    /// Takes pictures of the view, wide and of the width of a phone, light and dark, and asserts that the page is not
    /// wider than the screen. With `HATCHET_TEST_PICTURES`, they are copied to that folder.
    #[track_caller]
    pub fn pictures(&mut self, name: &str) {
        for (kind, width, dark) in
            [("light", 1200, false), ("dark", 1200, true), ("phone", 390, false), ("phone-dark", 390, true)]
        {
            let file = self.folder.path().join(format!("{name}-{kind}.png"));
            self.tab.picture(&file, width, dark);
            let over = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
            assert_eq!(self.value(over), false, "{name}-{kind}: wider than the screen");
            if let Some(keep) = picture_folder() {
                std::fs::copy(&file, keep.join(file.file_name().unwrap())).unwrap();
            }
        }
        // A phone hides columns, whose text the test may read next.
        self.tab.call("Emulation.clearDeviceMetricsOverride", serde_json::json!({}));
    }

    /// Takes a picture of the upper part of the view, of this height, for the guide.
    #[track_caller]
    pub fn guide_picture(&mut self, name: &str, height: u32) {
        let file = self.folder.path().join(format!("{name}.png"));
        self.tab.picture_of(&file, (1120, Some(height)), false);
        if let Some(keep) = picture_folder() {
            std::fs::copy(&file, keep.join(file.file_name().unwrap())).unwrap();
        }
    }
}

/// The folder to which pictures are copied.
pub fn picture_folder() -> Option<PathBuf> {
    std::env::var_os("HATCHET_TEST_PICTURES").map(PathBuf::from)
}
