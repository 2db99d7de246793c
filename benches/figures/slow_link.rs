//! A worker with a slow link to its engine. Additional round trips show as additional time.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use hatchet_quickstart::hatchet::wire::readable_duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    fixture::{Fixture, NO_OP},
    table::{Figure, Target, p50, percentile},
};

/// Delay in each direction: 25 ms, half of a round trip of 50 ms.
const ONE_WAY: Duration = Duration::from_millis(25);

/// Measures the time from the trigger to the result over the slow link.
pub(crate) async fn measure() -> Result<Figure> {
    const SAMPLES: usize = 40;
    let mut proxy = None;
    let fixture = Fixture::with_config(async |mut config| {
        let (address, accepting) = delaying_proxy(config.host_port.parse()?).await?;
        proxy = Some(accepting);
        config.host_port = address.to_string();
        Ok(config)
    })
    .await?;
    fixture.run(NO_OP).await?;
    let mut runs = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let started = Instant::now();
        fixture.run(NO_OP).await?;
        runs.push(started.elapsed());
    }
    fixture.stop().await?;
    drop(proxy);
    Ok(Figure {
        number: 9,
        name: "trigger to result, worker 50 ms away, p50",
        measured: readable_duration(p50(&runs)),
        limit: format!("link {}", readable_duration(2 * ONE_WAY)),
        value: p50(&runs).as_secs_f64() * 1e3,
        target: Target::AtMost(90.0, " ms"),
        notes: vec![format!("p99 {}", readable_duration(percentile(&runs, 0.99)))],
    })
}

/// Starts a proxy to `target` that delays the bytes of both directions by [`ONE_WAY`].
async fn delaying_proxy(target: SocketAddr) -> Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let accepting = tokio::spawn(async move {
        let mut directions = tokio::task::JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(target).await else { continue };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            directions.spawn(forward(near_in, far_out));
            directions.spawn(forward(far_in, near_out));
        }
    });
    Ok((address, AbortOnDropHandle::new(accepting)))
}

async fn forward(mut reader: OwnedReadHalf, mut writer: OwnedWriteHalf) {
    // Bounded, so that a slow reader slows the writer down, as on a link.
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            if sender.send((Instant::now() + ONE_WAY, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
