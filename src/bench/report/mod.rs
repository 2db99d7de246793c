//! The report of a benchmark: the same metrics as Markdown and as an HTML page.
//!
//! The page is a single file that opens offline: it has no script and loads nothing. [`sections`] builds the texts that
//! both forms share; [`chart`] draws the inline SVG.

mod chart;
mod chart_data;
mod format;
mod html;
mod markdown;
mod markup;
mod metrics;
mod sections;

pub(super) use chart_data::ChartData;
pub(super) use html::html;
pub(super) use markdown::markdown;
pub use metrics::{Metric, metrics};
pub use sections::ideal_time;
