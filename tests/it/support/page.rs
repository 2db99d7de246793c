//! A page over HTTP, by a socket alone: it works where the runtime of the test is blocked.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// An answer, its head as it came.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// The status and the body.
pub fn page(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = page_as(address, path, &[("Host", &address.to_string())]);
    (answer.status, answer.body)
}

/// The whole answer to a request with these headers; without a `Host` among them, with the address in it. A path may
/// have a method in front.
pub fn page_as(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let host = address.to_string();
    let own = [("Host", host.as_str())];
    let has_host = headers.iter().any(|(name, _)| *name == "Host");
    let headers = own.iter().filter(|_| !has_host).chain(headers);
    let lines: String = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (method, path) = path.split_once(' ').unwrap_or(("GET", path));
    write!(stream, "{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
