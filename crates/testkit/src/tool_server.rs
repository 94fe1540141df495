//! An MCP server on loopback that does what a script says and remembers what it was called with.
//!
//! It speaks the older handshake over streamable HTTP with plain JSON answers, or over a stream of events. Every
//! request has a connection of its own, so that cutting one says nothing about another.

use std::{
    collections::HashMap,
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::wire::{self, Headers};

/// What one call of a tool comes to.
#[derive(Clone, Debug)]
pub enum Act {
    /// A result with this text.
    Text(String),
    /// This whole result.
    Result(Value),
    /// A result that says the tool failed.
    Error(String),
    /// A JSON-RPC error.
    Rpc(i64, String),
    /// This HTTP status, with further headers.
    Status(u16, Vec<(&'static str, String)>),
    /// This body as it is, declared as JSON.
    Raw(String),
    /// A result whose text has this many bytes.
    Huge(usize),
    /// Takes the call and closes the connection without an answer.
    Cut,
    /// Takes the call and never answers.
    Hang,
}

struct Held {
    tools: Vec<Value>,
    page: usize,
    circle: bool,
    slow: Option<Duration>,
    token: Option<String>,
    forms: Vec<String>,
    revoked: bool,
    stalled: bool,
    old: bool,
    elsewhere: Option<String>,
    events: Option<TcpStream>,
    down: bool,
    scripts: HashMap<String, Vec<Act>>,
    calls: Vec<(String, Value)>,
    headers: Vec<Headers>,
    stopped: bool,
}

struct Shared {
    held: Mutex<Held>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server. A tool without a script answers `done`.
pub struct ToolServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// A tool that takes a title and a body.
pub fn tool(name: &str) -> Value {
    json!({
        "name": name,
        "description": format!("What {name} does."),
        "inputSchema": {
            "type": "object",
            "properties": { "title": { "type": "string" }, "body": { "type": "string" }, "key": { "type": "string" } },
            "required": ["title"],
            "additionalProperties": false,
        },
    })
}

impl ToolServer {
    pub fn new(tools: impl IntoIterator<Item = Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let held = Held {
            tools: tools.into_iter().collect(),
            page: 100,
            circle: false,
            slow: None,
            token: None,
            forms: Vec::new(),
            revoked: false,
            stalled: false,
            old: false,
            elsewhere: None,
            events: None,
            down: false,
            scripts: HashMap::new(),
            calls: Vec::new(),
            headers: Vec::new(),
            stopped: false,
        };
        let shared = Arc::new(Shared { held: Mutex::new(held), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().stopped {
                    break;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&accepting)) else { continue };
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Replaces what is offered.
    pub fn offer(&self, tools: impl IntoIterator<Item = Value>) {
        self.shared.lock().tools = tools.into_iter().collect();
    }

    /// How many tools a page of the list holds.
    pub fn page(&self, size: usize) {
        self.shared.lock().page = size;
    }

    /// The last page of the list points to the first one.
    pub fn circle(&self) {
        self.shared.lock().circle = true;
    }

    /// Every answer to a list comes this late.
    pub fn slow(&self, pause: Duration) {
        self.shared.lock().slow = Some(pause);
    }

    /// Without this bearer every request is refused.
    pub fn demand(&self, token: &str) {
        self.shared.lock().token = Some(token.to_owned());
    }

    /// Whether its token endpoint renews nothing any more.
    pub fn revoke(&self, revoked: bool) {
        self.shared.lock().revoked = revoked;
    }

    /// Whether its token endpoint takes requests and does not answer.
    pub fn stall(&self, stalled: bool) {
        self.shared.lock().stalled = stalled;
        self.shared.changed.notify_all();
    }

    /// Speaks the older transport only: a standing stream of events, and an address that it names.
    pub fn old(&self) {
        self.shared.lock().old = true;
    }

    /// Names this address instead of its own.
    pub fn elsewhere(&self, url: &str) {
        self.shared.lock().elsewhere = Some(url.to_owned());
    }

    /// Breaks the standing stream.
    pub fn cut(&self) {
        if let Some(events) = self.shared.lock().events.take() {
            let _ = events.shutdown(std::net::Shutdown::Both);
        }
    }

    /// The forms that were sent to its token endpoint. It authorises for itself, with the token that it demands.
    pub fn forms(&self) -> Vec<String> {
        self.shared.lock().forms.clone()
    }

    /// While down, every connection is closed at once.
    pub fn down(&self, down: bool) {
        self.shared.lock().down = down;
    }

    /// What the next calls of a tool come to; the last entry stays.
    pub fn on(&self, tool: &str, acts: impl IntoIterator<Item = Act>) {
        self.shared.lock().scripts.insert(tool.to_owned(), acts.into_iter().collect());
    }

    /// The arguments of every call of a tool so far.
    pub fn calls(&self, tool: &str) -> Vec<Value> {
        self.shared.lock().calls.iter().filter(|(name, _)| name == tool).map(|(_, args)| args.clone()).collect()
    }

    /// The headers of every request so far.
    pub fn headers(&self) -> Vec<Headers> {
        self.shared.lock().headers.clone()
    }

    /// Waits until a tool was called this often.
    #[track_caller]
    pub fn wait(&self, tool: &str, count: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut held = self.shared.lock();
        while held.calls.iter().filter(|(name, _)| name == tool).count() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{tool} was not called {count} times within {limit:?}");
            held = self.shared.changed.wait_timeout(held, left).map_or_else(|error| error.into_inner().0, |(h, _)| h);
        }
    }
}

impl Drop for ToolServer {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    let Ok(Some((first, headers))) = wire::head(&mut reader) else { return };
    let Ok(body) = wire::body(&mut reader, &headers, false) else { return };
    if shared.lock().down {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    if path == "/token" {
        let mut held = shared.lock();
        if held.stalled {
            held.forms.push(String::new());
            shared.changed.notify_all();
        }
        while held.stalled && !held.stopped {
            held = shared.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }
    if let Some(answered) = authorising(shared, path, &headers, &body) {
        let json = [("content-type", "application/json".to_owned())];
        let status = if answered.get("error").is_some() { 400 } else { 200 };
        answer(&mut writer, status, &json, answered.to_string().as_bytes());
        return;
    }
    let refused = {
        let mut held = shared.lock();
        let bearer = wire::header(&headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        let refused = held.token.as_deref().is_some_and(|token| bearer != Some(token));
        held.headers.push(headers);
        refused
    };
    if refused {
        answer(&mut writer, 401, &[("www-authenticate", "Bearer".to_owned())], b"");
        return;
    }
    let old = shared.lock().old;
    if old && path == "/mcp" {
        return open_stream(shared, writer, first.starts_with("GET "));
    }
    if !first.starts_with("POST ") {
        answer(&mut writer, 405, &[], b"");
        return;
    }
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(id) = message.get("id").cloned() else {
        answer(&mut writer, 202, &[], b"");
        return;
    };
    let params = &message["params"];
    let ok = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
    let error = |code: i64, text: &str| {
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } }).to_string()
    };
    let text = match message["method"].as_str().unwrap_or_default() {
        "initialize" => ok(json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "scripted", "version": "1" },
        })),
        "ping" => ok(json!({})),
        "tools/list" => ok(list(shared, params)),
        "tools/call" => match act(shared, params) {
            Act::Text(text) => ok(json!({ "content": [{ "type": "text", "text": text }] })),
            Act::Result(result) => ok(result),
            Act::Error(text) => ok(json!({ "content": [{ "type": "text", "text": text }], "isError": true })),
            Act::Rpc(code, text) => error(code, &text),
            Act::Raw(body) => body,
            Act::Huge(bytes) => ok(json!({ "content": [{ "type": "text", "text": "x".repeat(bytes) }] })),
            Act::Status(status, more) => {
                answer(&mut writer, status, &more, b"");
                return;
            }
            Act::Cut => return,
            Act::Hang => {
                let mut held = shared.lock();
                while !held.stopped {
                    held = shared.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                }
                return;
            }
        },
        _ => error(-32601, "no such method"),
    };
    if old {
        answer(&mut writer, 202, &[], b"");
        if let Some(events) = shared.lock().events.as_mut() {
            let _ = events.write_all(format!("event: message\ndata: {text}\n\n").as_bytes());
        }
        return;
    }
    answer(&mut writer, 200, &[("content-type", "application/json".to_owned())], text.as_bytes());
}

/// The older transport's stream, for whoever asks for it in the right way.
fn open_stream(shared: &Shared, mut writer: TcpStream, asked: bool) {
    if !asked {
        answer(&mut writer, 404, &[], b"");
        return;
    }
    let mut held = shared.lock();
    let place = held.elsewhere.clone().unwrap_or("/messages?session=1".into());
    let head =
        format!("HTTP/1.1 200 Scripted\r\ncontent-type: text/event-stream\r\n\r\nevent: endpoint\ndata: {place}\n\n");
    if writer.write_all(head.as_bytes()).is_ok() {
        held.events = Some(writer);
    }
}

/// What it answers as its own authorisation server.
fn authorising(shared: &Shared, path: &str, headers: &Headers, body: &[u8]) -> Option<Value> {
    let origin = format!("http://{}", wire::header(headers, "host").unwrap_or_default());
    let mut held = shared.lock();
    let token = held.token.clone()?;
    match path {
        "/.well-known/oauth-protected-resource/mcp" => Some(
            json!({ "resource": format!("{origin}/mcp"), "authorization_servers": [origin], "scopes_supported": ["tools"] }),
        ),
        "/.well-known/oauth-authorization-server" => Some(json!({
            "issuer": origin,
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
            "registration_endpoint": format!("{origin}/register"),
            "code_challenge_methods_supported": ["S256"],
        })),
        "/register" => Some(json!({ "client_id": "registered" })),
        "/token" => {
            let form = String::from_utf8_lossy(body).into_owned();
            let good = form.contains("code=the-code") || (form.contains("grant_type=refresh_token") && !held.revoked);
            held.forms.push(form);
            // One that has nearly run out, so that the next request refreshes it.
            Some(match good {
                true => {
                    json!({ "access_token": token, "token_type": "Bearer", "expires_in": 30, "refresh_token": "again" })
                }
                false => json!({ "error": "invalid_grant" }),
            })
        }
        _ => None,
    }
}

fn list(shared: &Shared, params: &Value) -> Value {
    let slow = shared.lock().slow;
    if let Some(pause) = slow {
        std::thread::sleep(pause);
    }
    let held = shared.lock();
    let from: usize = params["cursor"].as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or_default();
    let end = (from + held.page).min(held.tools.len());
    let mut page = json!({ "tools": held.tools.get(from..end).unwrap_or_default() });
    if end < held.tools.len() {
        page["nextCursor"] = json!(end.to_string());
    } else if held.circle {
        page["nextCursor"] = json!("0");
    }
    page
}

fn act(shared: &Shared, params: &Value) -> Act {
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    let mut held = shared.lock();
    held.calls.push((name.clone(), params["arguments"].clone()));
    shared.changed.notify_all();
    match held.scripts.get_mut(&name) {
        Some(script) if script.len() > 1 => script.remove(0),
        Some(script) => script.first().cloned().unwrap_or(Act::Text("done".into())),
        None => Act::Text("done".into()),
    }
}

fn answer(writer: &mut TcpStream, status: u16, more: &[(&'static str, String)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in more {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body));
}
