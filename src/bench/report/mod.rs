//! The report of a benchmark: the same figures as Markdown and as an HTML page.
//!
//! The page is one file that opens offline: it has no script and loads nothing. [`sections`] holds the texts that both
//! forms share, [`chart`] draws the inline SVG.

mod chart;
mod chart_data;
mod compare;
mod format;
mod html;
mod markdown;
mod markup;
mod sections;

pub(super) use chart_data::ChartData;
pub use compare::{Figure, figures};
pub(super) use html::html;
pub(super) use markdown::markdown;
