//! Behavior of the page that depends on time. The test holds the page's timers and runs them.

use super::fixture::{Page, Shop, Summary, browse};
use crate::support::{Embedded, Target};

/// Milliseconds without a byte after which the page closes a stream.
const SILENCE: u32 = 45_000;
/// Milliseconds between two refreshes of a view.
const REFRESH: u32 = 2000;
/// Milliseconds without a keystroke after which the times of an expression are loaded.
const TYPING: u32 = 250;

/// Replaces the timers of the page: those of a delay in `heldDelays` are kept in `heldTimers` and do not run by themselves.
const HOLD: &str = "
    window.heldDelays = []; window.heldTimers = new Map();
    const [set, clear] = [setTimeout, clearTimeout];
    let count = 0;
    window.setTimeout = (run, delay, ...values) => {
        if (!heldDelays.includes(delay)) return set(run, delay, ...values);
        count += 1;
        heldTimers.set(-count, { run, delay });
        return -count;
    };
    window.clearTimeout = (id) => { if (!heldTimers.delete(id)) clear(id); };
    undefined";

fn hold(page: &mut Page, delays: &[u32]) {
    page.value(&format!("if (!window.heldTimers) {{ {HOLD} }} heldDelays = {delays:?}; undefined"));
}

/// The expression of the number of held timers of this delay.
fn held(delay: u32) -> String {
    format!("[...heldTimers.values()].filter((one) => one.delay === {delay}).length")
}

/// Runs the only held timer of this delay.
fn run(page: &mut Page, delay: u32) {
    page.until(&format!("{} === 1", held(delay)));
    page.value(&format!(
        "{{ const [id, timer] = [...heldTimers].find(([, one]) => one.delay === {delay}); heldTimers.delete(id); timer.run(); }}"
    ));
}

/// The number of requests whose address contains this part.
fn requests(page: &Page, part: &str) -> usize {
    page.tab.requests().iter().filter(|address| address.contains(part)).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn silent_stream_is_marked_and_opened_again() {
    let shop = Shop::start().await;
    let words: String = (0..300).map(|number| format!("word{number} ")).collect();
    let id = shop.trigger("summarize", &Summary { text: words }, &[]).await;
    browse(&shop.target, |page| {
        hold(page, &[SILENCE]);
        page.open(&format!("#/runs/{id}"), "summarize");
        page.until_text(".heading .status", "running");
        page.until(&format!("{} === 1", held(SILENCE)));
        shop.send_words_until_shown(page);
        page.until_text("[aria-label=Stream]", "live");
        assert_eq!(page.value(&held(SILENCE)), 1, "each byte starts the time again");
        // No refresh opens the stream again until the test has seen the mark.
        hold(page, &[SILENCE, REFRESH]);
        page.until(&format!("{} === 1", held(REFRESH)));
        run(page, SILENCE);
        page.until_text("[aria-label=Stream]", "interrupted: The engine does not respond");
        let before = requests(page, "/embedded-stream/");
        run(page, REFRESH);
        page.until_text("[aria-label=Stream]", "live");
        page.until_text("pre.stream", "— chunks may be missing —");
        assert_eq!(requests(page, "/embedded-stream/"), before + 1);
        // The page shows "live" before the engine has opened the stream.
        shop.send_words_until_shown_after_gap(page);
        hold(page, &[SILENCE]);
        run(page, REFRESH);
        shop.permits.add_permits(300);
        page.until_text("pre.stream", "word299");
        // A refresh whose details were read before the run's end opens the ended stream once more.
        page.until_text("[aria-label=Stream]", "ended");
        page.until(&format!("{} === 0", held(SILENCE)));
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn times_of_cron_are_loaded_when_typing_pauses() {
    let target = Target::embedded(Embedded::start().await);
    target.workflow("report").await;
    browse(&target, |page| {
        page.open("#/schedules", "Schedules");
        page.press_button("New cron");
        page.until_count("dialog", 1);
        hold(page, &[TYPING]);
        for text in ["3", "30 9", "30 9 * * 1-5"] {
            page.fill("#cron-expression", text);
            assert_eq!(page.value(&held(TYPING)), 1, "{text}");
        }
        assert_eq!(requests(page, "/embedded-cron-times?expression"), 0);
        run(page, TYPING);
        page.until_text("#cron-times", "at 09:30 on Monday to Friday, UTC");
        assert_eq!(requests(page, "/embedded-cron-times?expression"), 1);
        // A closed dialog asks for nothing.
        page.fill("#cron-expression", "0 * * * *");
        page.key("Escape");
        page.until_count("dialog", 0);
        page.until(&format!("{} === 0", held(TYPING)));
    });
}
