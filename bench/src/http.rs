//! A lean HTTP/1.1 client: one kept connection, prebuilt request bytes, and of the answer only what is looked at.

use std::{net::SocketAddr, ops::Range};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Fault;

pub const TOKEN: &str = "bench-token-0123456789abcdef0123456789abcdef";

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Range<usize>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(32 << 10), body: 0..0 })
    }

    /// Sends one request and reads its whole answer.
    pub async fn call(&mut self, request: &[u8]) -> Result<u16, Fault> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended before the answer's head".into());
            }
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let status = std::str::from_utf8(self.buffer.get(9..12).unwrap_or_default())?.parse()?;
        let end = head + length(&self.buffer[..head])?;
        while self.buffer.len() < end {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended inside an answer".into());
            }
        }
        self.body = head..end;
        Ok(status)
    }

    pub fn body(&self) -> &[u8] {
        &self.buffer[self.body.clone()]
    }

    /// Sends one request that must be answered with 200, and returns the answer.
    pub async fn json(&mut self, request: &[u8]) -> Result<serde_json::Value, Fault> {
        let status = self.call(request).await?;
        if status != 200 {
            return Err(format!("{status}: {}", String::from_utf8_lossy(self.body())).into());
        }
        Ok(serde_json::from_slice(self.body())?)
    }
}

fn length(head: &[u8]) -> Result<usize, Fault> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let at = head.windows(NAME.len()).position(|part| part.eq_ignore_ascii_case(NAME));
    let at = at.ok_or("an answer without a length")? + NAME.len();
    let digits = head[at..].split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(std::str::from_utf8(digits)?.parse()?)
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n\r\n").into_bytes()
}

pub fn post(path: &str, body: &str) -> Vec<u8> {
    send("POST", path, body)
}

pub fn send(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads an answer of any length into a file; the server ends an HTTP/1.0 answer by closing.
pub async fn download(address: SocketAddr, path: &str, file: &std::path::Path) -> Result<(), Fault> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.0 200") && !head.starts_with(b"HTTP/1.1 200") {
        return Err(String::from_utf8_lossy(&head).into_owned().into());
    }
    let mut out = tokio::fs::File::create(file).await?;
    tokio::io::copy(&mut stream, &mut out).await?;
    out.flush().await?;
    Ok(())
}
