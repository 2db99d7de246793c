//! HTTP requests over a plain socket, which work while the async runtime of the test is blocked.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use super::TIMEOUT;

/// A response with its unparsed head.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Requests a path and returns status and body.
pub fn page(address: SocketAddr, path: &str) -> (u16, String) {
    let response = page_as(address, path, &[("Host", &address.to_string())]);
    (response.status, response.body)
}

/// Requests a path with these headers and returns the whole response. If they have no `Host`, the address is the
/// host. A method may precede the path.
pub fn page_as(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    read_response(open_page(address, path, headers, ""))
}

/// Like [`page_as`], with a JSON body.
pub fn post_as(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let length = body.len().to_string();
    let headers = [headers, &[("Content-Type", "application/json"), ("Content-Length", &length)]].concat();
    read_response(open_page(address, path, &headers, body))
}

/// Sends a request, and returns the connection without reading from it.
pub fn open_page(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let host = address.to_string();
    let default = [("Host", host.as_str())];
    let has_host = headers.iter().any(|(name, _)| *name == "Host");
    let headers = default.iter().filter(|_| !has_host).chain(headers);
    let lines: String = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (method, path) = path.split_once(' ').unwrap_or(("GET", path));
    write!(stream, "{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n{body}").unwrap();
    stream
}

/// Reads a response until the engine closes the connection.
fn read_response(mut stream: TcpStream) -> Response {
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head: head.to_owned(), body: body.to_owned() }
}
