//! The guide, one page for each subject, in reading order.
//!
//! 1. [Getting started](getting_started)
//! 2. [Writing tasks](tasks)
//! 3. [Workflows and limits](workflows)
//! 4. [Calling tasks](calling)
//! 5. [Following runs](runs)
//! 6. [Commands](commands)
//! 7. [The dashboard](dashboard)
//! 8. [Benchmark](mod@benchmark)
//! 9. [Faults and promises](faults)
//! 10. [Deployment](deployment)
//! 11. [Coming from other SDKs](sdks)
//! 12. [Settings](settings)
//! 13. [Troubleshooting](troubleshooting)
//! 14. [The embedded engine](embedded_engine)
//! 15. [Bounds](bounds)
//! 16. [Figures](figures)
//!
//! The pages are the Markdown files in `src/guide`. Their commands are executed by `tests/it/readme.rs`, their Rust
//! code by doctests.

/// Declares a module for each page.
///
/// A page links to another as `[title]`, and defines that link at its end for readers of the file. Here the definitions
/// precede the page, and take precedence, so that the same links lead to the modules.
macro_rules! pages {
    ($($name:ident)+) => {$(
        #[doc = "[Writing tasks]: crate::guide::tasks"]
        #[doc = "[Workflows and limits]: crate::guide::workflows"]
        #[doc = "[Calling tasks]: crate::guide::calling"]
        #[doc = "[Following runs]: crate::guide::runs"]
        #[doc = "[Commands]: crate::guide::commands"]
        #[doc = "[The dashboard]: crate::guide::dashboard"]
        #[doc = "[Benchmark]: mod@crate::guide::benchmark"]
        #[doc = "[Faults and promises]: crate::guide::faults"]
        #[doc = "[Deployment]: crate::guide::deployment"]
        #[doc = "[Coming from other SDKs]: crate::guide::sdks"]
        #[doc = "[Settings]: crate::guide::settings"]
        #[doc = "[Troubleshooting]: crate::guide::troubleshooting"]
        #[doc = "[The embedded engine]: crate::guide::embedded_engine"]
        #[doc = "[Bounds]: crate::guide::bounds"]
        #[doc = "[Figures]: crate::guide::figures"]
        #[doc = ""]
        #[doc = include_str!(concat!(stringify!($name), ".md"))]
        pub mod $name {}
    )+};
}

pages! {
    getting_started
    tasks
    workflows
    calling
    runs
    commands
    dashboard
    benchmark
    faults
    deployment
    sdks
    settings
    troubleshooting
    embedded_engine
    bounds
    figures
}
