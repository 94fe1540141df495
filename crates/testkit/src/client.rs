//! A plain HTTP client over one kept connection. It never sends a request twice: whether a request that broke off took
//! effect is exactly what crash tests ask.

use std::{
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    time::Duration,
};

use serde_json::Value;

use crate::wire::{self, Headers};

const PATIENCE: Duration = Duration::from_secs(30);

/// One connection to one server. Requests from several threads queue up on it.
pub struct Client {
    address: SocketAddr,
    headers: Headers,
    patience: Duration,
    kept: Mutex<Option<BufReader<TcpStream>>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The machine code of a refusal; empty when there is none.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The body of an answer that must be a 2xx.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self.json()
    }

    /// Checks that this is a refusal with this status and code, in the whole envelope, and returns its body.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
        self.enveloped()
    }

    /// Checks that the body is the error envelope, and returns it.
    #[track_caller]
    pub fn enveloped(&self) -> Value {
        let body = self.json();
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text());
        assert!(body["error"].is_string() && body["retryable"].is_boolean(), "{body}");
        assert!(body["code"].as_str().is_some_and(|code| !code.is_empty()), "{body}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{body}");
        body
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: Headers::new(), patience: PATIENCE, kept: Mutex::new(None) }
    }

    /// A client with one more header on every request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same server and headers over another connection.
    pub fn again(&self) -> Self {
        let (address, headers, patience) = (self.address, self.headers.clone(), self.patience);
        Self { address, headers, patience, kept: Mutex::new(None) }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.must("GET", path, &[], None)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.must("POST", path, &[], Some(body))
    }

    /// A POST without a body.
    #[track_caller]
    pub fn ask(&self, path: &str) -> Reply {
        self.must("POST", path, &[], None)
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Reply {
        self.must("PATCH", path, &[], Some(body))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.must("DELETE", path, &[], None)
    }

    #[track_caller]
    pub fn must(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        let reply = self.json(method, path, headers, body);
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn json(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> io::Result<Reply> {
        let mut all = headers.to_vec();
        if body.is_some() {
            all.push(("content-type", "application/json"));
        }
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.send(method, path, &all, &bytes)
    }

    /// One request, one answer. An error says that it is unknown whether the request was handled.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Reply> {
        let mut message = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            message.push_str(&format!("host: {}\r\n", self.address));
        }
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method != "GET" {
            message.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        message.push_str("\r\n");
        let mut bytes = message.into_bytes();
        bytes.extend_from_slice(body);

        let mut kept = self.kept.lock().expect("no request panicked");
        let mut connection = match kept.take().filter(still_open) {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.get_mut().write_all(&bytes)?;
        let reply = read(&mut connection, method == "HEAD")?;
        if !reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            *kept = Some(connection);
        }
        Ok(reply)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(BufReader::new(stream))
    }

    /// Starts a request whose answer is read line by line, on a connection of its own.
    pub fn stream(&self, path: &str) -> io::Result<Lines> {
        let mut connection = self.connect()?;
        let mut message = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in &self.headers {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        connection.get_mut().write_all(format!("{message}\r\n").as_bytes())?;
        let (first, headers) = wire::head(&mut connection)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Lines { status: status(&first)?, headers, connection, pending: Vec::new() })
    }
}

/// The lines of a chunked answer, as they come.
pub struct Lines {
    pub status: u16,
    pub headers: Headers,
    connection: BufReader<TcpStream>,
    pending: Vec<u8>,
}

impl Lines {
    /// The next line; an error when none comes in time, `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=at).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            match wire::chunk(&mut self.connection)? {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// Bytes on a fresh connection, and the answer, if one came before the connection ended. Sending and reading go on side
/// by side, because a server may refuse before it has read everything.
pub fn raw(address: SocketAddr, bytes: &[u8], patience: Duration) -> Option<Reply> {
    let stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    let mut writer = stream.try_clone().ok()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = writer.write_all(bytes);
        });
        let mut reader = BufReader::new(&stream);
        let reply = read(&mut reader, bytes.starts_with(b"HEAD ")).ok();
        // Ends a writer that the server no longer listens to.
        let _ = stream.shutdown(std::net::Shutdown::Both);
        reply
    })
}

fn status(line: &str) -> io::Result<u16> {
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no status line: {line}")))
}

fn read(from: &mut impl io::BufRead, bodiless: bool) -> io::Result<Reply> {
    loop {
        let (first, headers) = wire::head(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = status(&first)?;
        if status == 100 {
            continue;
        }
        let body = if bodiless || matches!(status, 204 | 304) { Vec::new() } else { wire::body(from, &headers, true)? };
        return Ok(Reply { status, headers, body });
    }
}

/// A kept connection that the server has closed meanwhile must not carry a request.
fn still_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let peeked = stream.peek(&mut [0; 1]);
    let quiet = matches!(&peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).is_ok() && quiet
}
