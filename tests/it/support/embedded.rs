//! The embedded engine under test.

#[cfg(feature = "engine")]
mod built {
    use hatchet_quickstart::{
        engine::{Engine, EngineOptions, Timings},
        hatchet::system::Handshake,
    };

    /// The engine of one test on a free port: in memory, or with `HATCHET_TEST_TARGET=durable` in a temporary folder.
    /// It stops when dropped.
    pub struct Embedded(Engine, #[expect(dead_code, reason = "dropped with the engine")] Option<tempfile::TempDir>);

    impl Embedded {
        pub async fn start() -> Self {
            Self::with(Timings::default()).await
        }

        pub async fn with(timings: Timings) -> Self {
            let durable = std::env::var("HATCHET_TEST_TARGET").is_ok_and(|target| target == "durable");
            let folder = durable.then(|| tempfile::tempdir().unwrap());
            let path = folder.as_ref().map(|folder| folder.path().to_owned());
            let options = EngineOptions { timings, folder: path, ..EngineOptions::default() };
            Self(Engine::start(options).await.unwrap(), folder)
        }

        /// Starts an engine that detects a lost worker within the duration of a test.
        pub async fn with_short_lease() -> Self {
            Self::with(Timings { worker_lease: std::time::Duration::from_secs(7), ..Timings::default() }).await
        }

        pub fn handshake(&self) -> Handshake {
            self.0.handshake().clone()
        }
    }
}

#[cfg(not(feature = "engine"))]
mod built {
    use hatchet_quickstart::hatchet::system::Handshake;

    const ABSENT: &str = "this build has no embedded engine: set HATCHET_TEST_TARGET=real, or build with `engine`";

    pub struct Embedded;

    impl Embedded {
        pub async fn start() -> Self {
            panic!("{ABSENT}")
        }

        pub async fn with_short_lease() -> Self {
            panic!("{ABSENT}")
        }

        pub fn handshake(&self) -> Handshake {
            unreachable!()
        }
    }
}

pub use built::Embedded;
