//! A `tracing` layer that writes the events of bodies to the logs of their runs.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context as LayerContext, Layer};

use crate::hatchet::task::{Context, LogLevel, RUN_LOG};

/// Writes each `tracing` event of a body to its run's log in Hatchet, with level, fields and attempt, as
/// [`Context::log_at`] does. Add it to the program's subscriber:
///
/// ```
/// use hatchet_quickstart::hatchet::task::LogLayer;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry().with(LogLayer::new());
/// # tracing::subscriber::with_default(subscriber, || tracing::info!("outside of a body: ignored"));
/// ```
///
/// Events outside of a body are ignored (see [`Context::current`]), as are the events of this library. The level TRACE
/// becomes DEBUG. The fields of an event are left out if they are longer than 16 KiB as JSON. Like the lines of
/// [`Context::log`], an event that finds 1,000 lines and chunks of its attempt waiting is dropped and counted:
/// [`Context::lost_lines`], and `lines_lost` in the worker's metrics.
#[derive(Debug, Clone)]
pub struct LogLayer {
    min_level: Level,
}

impl Default for LogLayer {
    fn default() -> Self {
        Self { min_level: Level::INFO }
    }
}

impl LogLayer {
    /// Creates a layer for events of the level INFO and above.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the lowest level whose events are written. Default INFO.
    #[must_use]
    pub fn min_level(mut self, level: Level) -> Self {
        self.min_level = level;
        self
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > self.min_level || is_internal(metadata.target()) {
            return;
        }
        Context::with_current(|ctx| {
            let mut line = Line::default();
            event.record(&mut line);
            let level = match *metadata.level() {
                Level::ERROR => LogLevel::Error,
                Level::WARN => LogLevel::Warn,
                Level::INFO => LogLevel::Info,
                Level::DEBUG | Level::TRACE => LogLevel::Debug,
            };
            let message = if line.message.is_empty() { metadata.name().to_owned() } else { line.message };
            ctx.write_line(level, message, line.fields);
        });
    }
}

/// Whether events of this target come from this library, which would otherwise log its own log lines.
fn is_internal(target: &str) -> bool {
    const LIBRARY: &str = concat!(env!("CARGO_CRATE_NAME"), "::hatchet");
    [RUN_LOG, LIBRARY]
        .iter()
        .any(|prefix| target.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

/// The message and the other fields of an event.
#[derive(Default)]
struct Line {
    message: String,
    fields: Map<String, Value>,
}

impl Line {
    fn add(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.add(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.add(field, value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::hatchet::task::{Emission, RunInfo};

    #[tokio::test]
    async fn events_of_a_body_become_log_lines() {
        let (ctx, _canceller, mut emissions) = Context::new(RunInfo::default());
        let subscriber = tracing_subscriber::registry().with(LogLayer::new());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "app", "outside");
            ctx.clone().sync_scope(|| {
                tracing::warn!(target: "app", orders = 3, customer = "Ada", ok = true, "low stock");
                tracing::debug!(target: "app", "below the level");
                ctx.log("from the context");
                tracing::error!("of the library");
            });
        });
        let mut lines = Vec::new();
        while let Ok(Emission::Log { level, message, fields }) = emissions.try_recv() {
            lines.push((level, message, Value::Object(fields)));
        }
        assert_eq!(
            lines,
            [
                (LogLevel::Warn, "low stock".to_owned(), json!({ "orders": 3, "customer": "Ada", "ok": true })),
                (LogLevel::Info, "from the context".to_owned(), json!({})),
            ]
        );
    }
}
