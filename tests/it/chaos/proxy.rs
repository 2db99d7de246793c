//! A TCP link between a client and an engine that a test can break in every way in which links break.

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

/// The link. It lives on a thread of its own, so that nothing in the test holds it up, and ends when it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    rules: watch::Sender<Rules>,
}

/// What happens to bytes and connections now.
#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    /// New connections are reset at once.
    down: bool,
    /// Bytes from the client are lost. A connection that has lost some stays deaf that way for ever, without a sign,
    /// as one does whose state a router in between has forgotten.
    lose_up: bool,
    /// The same for bytes from the engine.
    lose_down: bool,
    /// How long bytes are on their way.
    delay: Duration,
    /// Bytes a second each way; 0: as many as there are.
    rate: u32,
    /// Goes up when all connections are to be reset.
    resets: u64,
    /// A connection on which the client sends these bytes is deaf from then on, as with [`Proxy::deaf_client`].
    deaf_after: Option<&'static [u8]>,
}

impl Proxy {
    pub async fn to(upstream: SocketAddr) -> Self {
        let (rules, rules_seen) = watch::channel(Rules::default());
        let (told, address) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                accept(listener, upstream, rules_seen).await;
            });
        });
        Self { address: address.await.unwrap(), rules }
    }

    /// Resets all connections; new ones pass.
    pub fn reset(&self) {
        self.rules.send_modify(|rules| rules.resets += 1);
    }

    /// Resets all connections, and new ones until [`Proxy::heal`].
    pub fn down(&self) {
        self.rules.send_modify(|rules| {
            rules.down = true;
            rules.resets += 1;
        });
    }

    /// Takes connections and swallows all bytes, both ways.
    pub fn black_hole(&self) {
        self.hole_maker()();
    }

    /// [`Proxy::black_hole`] for later.
    pub fn hole_maker(&self) -> impl FnOnce() + Send + use<> {
        let rules = self.rules.clone();
        move || rules.send_modify(|rules| (rules.lose_up, rules.lose_down) = (true, true))
    }

    /// Swallows what the engine says; it hears the client.
    pub fn deaf_client(&self) {
        self.rules.send_modify(|rules| rules.lose_down = true);
    }

    /// Swallows what the client says; it hears the engine.
    pub fn deaf_engine(&self) {
        self.rules.send_modify(|rules| rules.lose_up = true);
    }

    /// Swallows what the engine says on every connection on which the client sends these bytes from now on, until
    /// [`Proxy::heal`].
    pub fn deaf_client_after(&self, sent: &'static [u8]) {
        self.rules.send_modify(|rules| rules.deaf_after = Some(sent));
    }

    /// Makes every byte take this long, each way.
    pub fn delay(&self, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Lets so many bytes a second pass, each way and for each connection.
    pub fn rate(&self, bytes: u32) {
        self.rules.send_modify(|rules| rules.rate = bytes);
    }

    /// New connections pass again, and those that have lost nothing.
    pub fn heal(&self) {
        self.healer()();
    }

    /// [`Proxy::heal`] for later.
    pub fn healer(&self) -> impl FnOnce() + Send + use<> {
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
                    tokio::spawn(carry(client, upstream, rules.clone()));
                }
            }
            gone = closed.changed() => if gone.is_err() { return },
        }
    }
}

/// The end of a connection by RST.
fn reset(stream: TcpStream) {
    // Fails where the other side has gone already.
    let _ = stream.set_zero_linger();
}

async fn carry(mut client: TcpStream, upstream: SocketAddr, rules: watch::Receiver<Rules>) {
    let begun = rules.borrow().resets;
    let Ok(mut server) = TcpStream::connect(upstream).await else { return reset(client) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let closed_in_order = {
        let ((client_in, client_out), (server_in, server_out)) = (client.split(), server.split());
        let deaf = AtomicBool::new(false);
        let up = pump(client_in, server_out, &rules, |rules, bytes| {
            if rules.deaf_after.is_some_and(|sent| bytes.windows(sent.len()).any(|window| window == sent)) {
                deaf.store(true, Ordering::SeqCst);
            }
            rules.lose_up
        });
        let down = pump(server_in, client_out, &rules, |rules, _| rules.lose_down || deaf.load(Ordering::SeqCst));
        let mut watched = rules.clone();
        tokio::select! {
            carried = async { tokio::try_join!(up, down) } => carried.is_ok(),
            // An error: the proxy is gone.
            _ = watched.wait_for(|rules| rules.resets != begun) => false,
        }
    };
    if !closed_in_order {
        reset(client);
        reset(server);
    }
}

/// Carries one direction to its end. An end of a direction that has lost bytes is lost too.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    rules: &watch::Receiver<Rules>,
    loses: impl Fn(&Rules, &[u8]) -> bool,
) -> std::io::Result<()> {
    let (on_the_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(16);
    let read = async move {
        let mut lost = false;
        let mut buffer = vec![0; 8 << 10];
        loop {
            let read = from.read(&mut buffer).await;
            let now = *rules.borrow();
            lost |= loses(&now, &buffer[..*read.as_ref().unwrap_or(&0)]);
            match read {
                Ok(0) | Err(_) if lost => std::future::pending().await,
                Ok(0) => return Ok(()),
                Ok(_) if lost => {}
                Ok(n) => {
                    // A failed send: the writer has said why.
                    let _ = on_the_way.send((Instant::now() + now.delay, buffer[..n].to_vec())).await;
                }
                Err(error) => return Err(error),
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = arriving.recv().await {
            sleep_until(at).await;
            to.write_all(&bytes).await?;
            let rate = rules.borrow().rate;
            if rate > 0 {
                sleep(Duration::from_secs_f64(bytes.len() as f64 / f64::from(rate))).await;
            }
        }
        to.shutdown().await
    };
    both(read, write).await
}

async fn both(
    read: impl Future<Output = std::io::Result<()>>,
    write: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    tokio::try_join!(read, write).map(|_| ())
}
