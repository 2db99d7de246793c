//! A TCP proxy between a client and an engine that injects network faults.

use std::{
    future::Future,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until},
};

/// A proxy on a separate thread, so that the test cannot delay it. It stops when dropped.
pub struct Proxy {
    pub address: SocketAddr,
    rules: watch::Sender<Rules>,
}

/// The current treatment of bytes and connections.
#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    /// New connections are reset immediately.
    down: bool,
    /// Bytes from the client are dropped. A connection that has lost bytes drops all further bytes in that direction
    /// without closing, like a connection whose state a NAT router has lost.
    lose_up: bool,
    /// Bytes from the engine are dropped, as with `lose_up`.
    lose_down: bool,
    /// Latency of each direction.
    delay: Duration,
    /// Bytes a second in each direction; 0 for no limit.
    rate: u32,
    /// Incremented to reset all connections.
    resets: u64,
    /// A connection on which the client sends these bytes drops the engine's bytes from then on, as with
    /// [`Proxy::drop_received`].
    drop_received_after: Option<&'static [u8]>,
}

impl Proxy {
    pub async fn to(upstream: SocketAddr) -> Self {
        let (rules, rules_seen) = watch::channel(Rules::default());
        let (sender, address) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                accept(listener, upstream, rules_seen).await;
            });
        });
        Self { address: address.await.unwrap(), rules }
    }

    /// Resets all connections; new connections work.
    pub fn reset(&self) {
        self.rules.send_modify(|rules| rules.resets += 1);
    }

    /// Resets all connections, and new connections until [`Proxy::restore`].
    pub fn down(&self) {
        self.rules.send_modify(|rules| {
            rules.down = true;
            rules.resets += 1;
        });
    }

    /// Accepts connections and drops all bytes in both directions.
    pub fn black_hole(&self) {
        self.black_hole_later()();
    }

    /// A function that calls [`Proxy::black_hole`] later.
    pub fn black_hole_later(&self) -> impl FnOnce() + Send + use<> {
        let rules = self.rules.clone();
        move || rules.send_modify(|rules| (rules.lose_up, rules.lose_down) = (true, true))
    }

    /// Drops the bytes that the client would receive; the engine still receives bytes.
    pub fn drop_received(&self) {
        self.rules.send_modify(|rules| rules.lose_down = true);
    }

    /// Drops the bytes that the client sends; the client still receives bytes.
    pub fn drop_sent(&self) {
        self.rules.send_modify(|rules| rules.lose_up = true);
    }

    /// Drops received bytes on every connection on which the client sends these bytes, until [`Proxy::restore`].
    pub fn drop_received_after(&self, sent: &'static [u8]) {
        self.rules.send_modify(|rules| rules.drop_received_after = Some(sent));
    }

    /// Sets the latency of each direction.
    pub fn delay(&self, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Limits the bytes a second in each direction of each connection.
    pub fn rate(&self, bytes: u32) {
        self.rules.send_modify(|rules| rules.rate = bytes);
    }

    /// Ends all faults: new connections and connections that have lost no bytes work again.
    pub fn restore(&self) {
        self.restore_later()();
    }

    /// A function that calls [`Proxy::restore`] later.
    pub fn restore_later(&self) -> impl FnOnce() + Send + use<> {
        let rules = self.rules.clone();
        move || rules.send_modify(|rules| *rules = Rules { resets: rules.resets, ..Rules::default() })
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, rules: watch::Receiver<Rules>) {
    let mut closed = rules.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if rules.borrow().down {
                    reset(client);
                } else {
                    tokio::spawn(forward(client, upstream, rules.clone()));
                }
            }
            dropped = closed.changed() => if dropped.is_err() { return },
        }
    }
}

/// Closes a connection with RST.
fn reset(stream: TcpStream) {
    // Fails if the other side has already closed it.
    let _ = stream.set_zero_linger();
}

async fn forward(mut client: TcpStream, upstream: SocketAddr, rules: watch::Receiver<Rules>) {
    let started = rules.borrow().resets;
    let Ok(mut server) = TcpStream::connect(upstream).await else { return reset(client) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let closed_in_order = {
        let ((client_in, client_out), (server_in, server_out)) = (client.split(), server.split());
        let drops_received = AtomicBool::new(false);
        let up = pump(client_in, server_out, &rules, |rules, bytes| {
            if rules.drop_received_after.is_some_and(|sent| bytes.windows(sent.len()).any(|window| window == sent)) {
                drops_received.store(true, Ordering::SeqCst);
            }
            rules.lose_up
        });
        let down =
            pump(server_in, client_out, &rules, |rules, _| rules.lose_down || drops_received.load(Ordering::SeqCst));
        let mut watched = rules.clone();
        tokio::select! {
            forwarded = async { tokio::try_join!(up, down) } => forwarded.is_ok(),
            // An error means that the proxy was dropped.
            _ = watched.wait_for(|rules| rules.resets != started) => false,
        }
    };
    if !closed_in_order {
        reset(client);
        reset(server);
    }
}

/// Forwards one direction until it ends. If bytes were dropped, the end of the direction is dropped too.
async fn pump(
    mut reader: ReadHalf<'_>,
    mut writer: WriteHalf<'_>,
    rules: &watch::Receiver<Rules>,
    loses: impl Fn(&Rules, &[u8]) -> bool,
) -> std::io::Result<()> {
    let (delayed, mut arrivals) = mpsc::channel::<(Instant, Vec<u8>)>(16);
    let read = async move {
        let mut lost = false;
        let mut buffer = vec![0; 8 << 10];
        loop {
            let read = reader.read(&mut buffer).await;
            let current = *rules.borrow();
            lost |= loses(&current, &buffer[..*read.as_ref().unwrap_or(&0)]);
            match read {
                Ok(0) | Err(_) if lost => std::future::pending().await,
                Ok(0) => return Ok(()),
                Ok(_) if lost => {}
                Ok(n) => {
                    // A send fails only after the writer has failed, which returns the error.
                    let _ = delayed.send((Instant::now() + current.delay, buffer[..n].to_vec())).await;
                }
                Err(error) => return Err(error),
            }
        }
    };
    let write = async move {
        while let Some((due, bytes)) = arrivals.recv().await {
            sleep_until(due).await;
            writer.write_all(&bytes).await?;
            let rate = rules.borrow().rate;
            if rate > 0 {
                sleep(Duration::from_secs_f64(bytes.len() as f64 / f64::from(rate))).await;
            }
        }
        writer.shutdown().await
    };
    both(read, write).await
}

async fn both(
    read: impl Future<Output = std::io::Result<()>>,
    write: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    tokio::try_join!(read, write).map(|_| ())
}
