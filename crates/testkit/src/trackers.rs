//! Issue trackers on loopback that keep what they are given, answer as the real ones do, and fail as scripted: a GitHub
//! with its REST routes, and a Linear with its GraphQL documents.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{now_ms, wire};

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Refused: nothing happens.
    Refuse(u16, Vec<(&'static str, String)>, Value),
    /// Never answered, and nothing happens.
    Hang,
    /// It happens, and is never answered.
    ActAndHang,
    /// It happens, and the connection is closed without an answer.
    ActAndCut,
    /// It happens, and this status says that it did not.
    ActAndSay(u16),
    /// It happens, and the answer is no JSON.
    ActAndGarble,
    /// It happens, after a pause.
    Late(Duration),
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::Refuse(status, Vec::new(), json!({ "message": format!("scripted {status}") }))
    }

    /// GitHub's secondary limit, with a time to wait.
    pub fn secondary(seconds: u64) -> Self {
        let said = json!({ "message": "You have exceeded a secondary rate limit. Please wait." });
        Self::Refuse(403, vec![("retry-after", seconds.to_string())], said)
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at_ms: u64,
    /// What it was for: `search`, `list`, `get`, `create`, `comment`, `comments`, `update`, or the name of a document.
    pub what: String,
    pub target: String,
    pub authorization: String,
    pub if_none_match: String,
    pub body: Value,
}

#[derive(Clone, Debug)]
pub struct StoredIssue {
    pub number: u64,
    pub id: String,
    pub title: String,
    pub body: String,
    pub labels: Vec<String>,
    pub priority: u64,
    pub open: bool,
    pub created_ms: u64,
    pub updated_ms: u64,
    pub comments: Vec<(String, String)>,
}

#[derive(Default)]
struct Held {
    issues: Vec<StoredIssue>,
    asked: Vec<Asked>,
    faults: HashMap<String, VecDeque<Fault>>,
    /// A search finds nothing, as an index does that has not caught up.
    blind: bool,
    pause: Duration,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Github,
    Linear,
}

/// A tracker on loopback.
pub struct Tracker {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Tracker {
    pub fn github() -> Self {
        Self::start(Kind::Github)
    }

    /// Has one team, `ENG`, and one project, `Core`.
    pub fn linear() -> Self {
        Self::start(Kind::Linear)
    }

    fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().stopped {
                    break;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&accepting)) else { continue };
                std::thread::spawn(move || serve(stream, kind, address, &shared));
            }
        });
        Self { address, shared }
    }

    /// What `api_base` is set to.
    pub fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The next requests of this sort fail like this, one after the other; later ones do not.
    pub fn fail(&self, what: &str, faults: impl IntoIterator<Item = Fault>) {
        self.shared.lock().faults.entry(what.to_owned()).or_default().extend(faults);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.shared.lock().faults.clear();
    }

    /// Whether searches find nothing.
    pub fn blind(&self, blind: bool) {
        self.shared.lock().blind = blind;
    }

    /// How long every answer takes.
    pub fn pause(&self, pause: Duration) {
        self.shared.lock().pause = pause;
    }

    pub fn issues(&self) -> Vec<StoredIssue> {
        self.shared.lock().issues.clone()
    }

    pub fn asked(&self, what: &str) -> Vec<Asked> {
        self.shared.lock().asked.iter().filter(|asked| asked.what == what).cloned().collect()
    }

    /// Waits until this was asked so often.
    #[track_caller]
    pub fn wait(&self, what: &str, count: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut held = self.shared.lock();
        loop {
            let found = held.asked.iter().filter(|asked| asked.what == what).count();
            if found >= count {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} was asked {found} of {count} times within {limit:?}");
            held = self.shared.changed.wait_timeout(held, left).map_or_else(|error| error.into_inner().0, |(h, _)| h);
        }
    }

    /// Somebody closes an issue, or opens it again.
    pub fn set_open(&self, number: u64, open: bool) {
        let mut held = self.shared.lock();
        for issue in held.issues.iter_mut().filter(|issue| issue.number == number) {
            issue.open = open;
            issue.updated_ms = now_ms();
        }
    }

    /// Somebody else's issue.
    pub fn plant(&self, title: &str, body: &str, open: bool) -> u64 {
        let mut held = self.shared.lock();
        let number = held.issues.len() as u64 + 1;
        held.issues.push(StoredIssue { open, ..fresh(number, title, body) });
        number
    }

    /// Somebody deletes an issue.
    pub fn delete(&self, number: u64) {
        self.shared.lock().issues.retain(|issue| issue.number != number);
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.address);
    }
}

fn fresh(number: u64, title: &str, body: &str) -> StoredIssue {
    StoredIssue {
        number,
        id: format!("issue-{number}"),
        title: title.to_owned(),
        body: body.to_owned(),
        labels: Vec::new(),
        priority: 0,
        open: true,
        created_ms: now_ms(),
        updated_ms: now_ms(),
        comments: Vec::new(),
    }
}

fn serve(stream: TcpStream, kind: Kind, address: SocketAddr, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Ok(Some((first, headers))) = wire::head(&mut reader) {
        let Ok(bytes) = wire::body(&mut reader, &headers, false) else { return };
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let header = |name: &str| wire::header(&headers, name).unwrap_or_default().to_owned();
        let what = match kind {
            Kind::Github => github_route(method, target),
            Kind::Linear => linear_document(&body),
        };
        let (fault, pause) = {
            let mut held = shared.lock();
            held.asked.push(Asked {
                at_ms: now_ms(),
                what: what.clone(),
                target: target.to_owned(),
                authorization: header("authorization"),
                if_none_match: header("if-none-match"),
                body: body.clone(),
            });
            shared.changed.notify_all();
            (held.faults.get_mut(&what).and_then(VecDeque::pop_front), held.pause)
        };
        std::thread::sleep(pause);
        let act = || match kind {
            Kind::Github => github(&mut shared.lock(), address, &what, target, &body, &header("if-none-match")),
            Kind::Linear => linear(&mut shared.lock(), &what, &body),
        };
        let (status, more, answer) = match fault {
            None => act(),
            Some(Fault::Refuse(status, headers, body)) => (status, headers, body.to_string()),
            Some(Fault::Late(pause)) => {
                std::thread::sleep(pause);
                act()
            }
            Some(Fault::Hang) => return hang(shared),
            Some(Fault::ActAndHang) => {
                act();
                return hang(shared);
            }
            Some(Fault::ActAndCut) => {
                act();
                return;
            }
            Some(Fault::ActAndSay(status)) => {
                act();
                (status, Vec::new(), json!({ "message": "scripted" }).to_string())
            }
            Some(Fault::ActAndGarble) => {
                let (status, ..) = act();
                (status, Vec::new(), "<html>".to_owned())
            }
        };
        let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n");
        for (name, value) in more {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", answer.len()));
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(answer.as_bytes())).is_err() {
            return;
        }
    }
}

fn hang(shared: &Shared) {
    let mut held = shared.lock();
    while !held.stopped {
        held = shared.changed.wait(held).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
}

fn github_route(method: &str, target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["search", "issues"]) => "search",
        ("GET", ["repos", _, _, "issues"]) => "list",
        ("POST", ["repos", _, _, "issues"]) => "create",
        ("GET", ["repos", _, _, "issues", _]) => "get",
        ("PATCH", ["repos", _, _, "issues", _]) => "update",
        ("GET", ["repos", _, _, "issues", _, "comments"]) => "comments",
        ("POST", ["repos", _, _, "issues", _, "comments"]) => "comment",
        _ => "unknown",
    }
    .to_owned()
}

type Answer = (u16, Vec<(&'static str, String)>, String);

fn github(held: &mut Held, address: SocketAddr, what: &str, target: &str, body: &Value, tag: &str) -> Answer {
    let plain = |status: u16, body: Value| (status, Vec::new(), body.to_string());
    let query = |key: &str| {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let value = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}=")))?;
        Some(decoded(value))
    };
    let number = || -> Option<u64> { target.split('?').next()?.split('/').nth(5)?.parse().ok() };
    let view = |issue: &StoredIssue| github_issue(issue, address);
    let missing = || plain(404, json!({ "message": "Not Found" }));
    let page = |rows: Vec<Value>| {
        let size: usize = query("per_page").and_then(|n| n.parse().ok()).unwrap_or(30);
        let page: usize = query("page").and_then(|n| n.parse().ok()).unwrap_or(1);
        rows.into_iter().skip((page - 1) * size).take(size).collect::<Vec<_>>()
    };
    match what {
        "search" => {
            let text = query("q").unwrap_or_default();
            let phrase = text.split('"').nth(1).unwrap_or_default().to_owned();
            let found: Vec<Value> =
                held.issues.iter().filter(|issue| !held.blind && issue.body.contains(&phrase)).map(view).collect();
            plain(200, json!({ "total_count": found.len(), "incomplete_results": false, "items": found }))
        }
        "list" => {
            let since = query("since").unwrap_or_default();
            let mut rows: Vec<&StoredIssue> = held
                .issues
                .iter()
                .filter(|issue| tandem_core::tracker::time::format(issue.updated_ms) >= since)
                .collect();
            if query("sort").as_deref() == Some("updated") {
                rows.sort_by_key(|issue| issue.updated_ms);
            } else {
                rows.sort_by_key(|issue| std::cmp::Reverse(issue.number));
            }
            let rows = page(rows.into_iter().map(view).collect());
            let etag = format!("\"{}\"", &tandem_core::text::sha256_hex(&json!(rows).to_string())[..16]);
            if etag == tag {
                return (304, vec![("etag", etag)], String::new());
            }
            (200, vec![("etag", etag)], json!(rows).to_string())
        }
        "get" => match held.issues.iter().find(|issue| Some(issue.number) == number()) {
            Some(issue) => plain(200, view(issue)),
            None => missing(),
        },
        "create" => {
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            let number = held.issues.iter().map(|issue| issue.number).max().unwrap_or(0) + 1;
            let mut issue = fresh(number, &text("title"), &text("body"));
            issue.labels =
                body["labels"].as_array().into_iter().flatten().filter_map(|l| l.as_str().map(str::to_owned)).collect();
            held.issues.push(issue.clone());
            plain(201, view(&issue))
        }
        "update" => match held.issues.iter_mut().find(|issue| Some(issue.number) == number()) {
            Some(issue) => {
                issue.open = body["state"] != "closed";
                issue.updated_ms = now_ms();
                plain(200, github_issue(issue, address))
            }
            None => missing(),
        },
        "comments" => match held.issues.iter().find(|issue| Some(issue.number) == number()) {
            Some(issue) => {
                plain(200, json!(page(issue.comments.iter().map(|c| github_comment(issue, c, address)).collect())))
            }
            None => missing(),
        },
        "comment" => match held.issues.iter_mut().find(|issue| Some(issue.number) == number()) {
            Some(issue) => {
                let id = (issue.number * 1000 + issue.comments.len() as u64).to_string();
                issue.comments.push((id, body["body"].as_str().unwrap_or_default().to_owned()));
                issue.updated_ms = now_ms();
                let last = issue.comments.last().cloned().unwrap_or_default();
                plain(201, github_comment(issue, &last, address))
            }
            None => missing(),
        },
        _ => plain(404, json!({ "message": "Not Found" })),
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        match (first, tail) {
            (b'%', [a, b, more @ ..]) => {
                bytes.extend(hex(&[*a, *b]));
                rest = more;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn github_issue(issue: &StoredIssue, address: SocketAddr) -> Value {
    let time = tandem_core::tracker::time::format;
    json!({
        "id": issue.number, "node_id": format!("I_{}", issue.number), "number": issue.number, "title": issue.title,
        "body": issue.body, "state": if issue.open { "open" } else { "closed" },
        "html_url": format!("http://{address}/acme/platform/issues/{}", issue.number),
        "url": format!("http://{address}/repos/acme/platform/issues/{}", issue.number),
        "labels": issue.labels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "comments": issue.comments.len(), "created_at": time(issue.created_ms), "updated_at": time(issue.updated_ms),
    })
}

fn github_comment(issue: &StoredIssue, (id, body): &(String, String), address: SocketAddr) -> Value {
    json!({
        "id": id.parse::<u64>().unwrap_or_default(), "body": body,
        "html_url": format!("http://{address}/acme/platform/issues/{}#issuecomment-{id}", issue.number),
    })
}

/// The name of the operation in a GraphQL document.
fn linear_document(body: &Value) -> String {
    let document = body["query"].as_str().unwrap_or_default();
    let name = document.split([' ', '(']).nth(1).unwrap_or("unknown");
    name.to_owned()
}

fn linear(held: &mut Held, what: &str, body: &Value) -> Answer {
    let variables = &body["variables"];
    let plain = |data: Value| (200, Vec::new(), json!({ "data": data }).to_string());
    let refused = |message: &str| {
        let error = json!({ "message": message, "extensions": { "code": "INPUT_ERROR" } });
        (200, Vec::new(), json!({ "errors": [error], "data": null }).to_string())
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match what {
        "FindIssues" | "ChangedIssues" => {
            let filter = &variables["filter"];
            let phrase = text(&filter["description"]["contains"]);
            let since = text(&filter["updatedAt"]["gte"]);
            let mut rows: Vec<&StoredIssue> = held
                .issues
                .iter()
                .filter(|issue| !held.blind && issue.body.contains(&phrase))
                .filter(|issue| tandem_core::tracker::time::format(issue.updated_ms) >= since)
                .collect();
            rows.sort_by_key(|issue| std::cmp::Reverse(issue.updated_ms));
            let nodes: Vec<Value> = rows.into_iter().map(linear_issue).collect();
            plain(json!({ "issues": { "nodes": nodes, "pageInfo": { "hasNextPage": false, "endCursor": null } } }))
        }
        "Issue" => {
            let wanted = text(&variables["filter"]["id"]["eq"]);
            let found: Vec<Value> = held.issues.iter().filter(|issue| issue.id == wanted).map(linear_issue).collect();
            plain(json!({ "issues": { "nodes": found } }))
        }
        "Comment" => {
            let wanted = text(&variables["filter"]["id"]["eq"]);
            let all = held.issues.iter().flat_map(|issue| &issue.comments).filter(|(id, _)| *id == wanted);
            let url = |id: &str| format!("https://linear.app/c/{id}");
            let view = |(id, body): &(String, String)| json!({ "id": id, "body": body, "url": url(id) });
            plain(json!({ "comments": { "nodes": all.map(view).collect::<Vec<_>>() } }))
        }
        "Target" => {
            let state = |id: &str, kind: &str| json!({ "id": id, "name": kind, "type": kind, "position": 1.0 });
            plain(json!({
                "teams": { "nodes": [{ "id": "team-1", "key": "ENG", "name": "Engineering",
                    "states": { "nodes": [state("state-open", "unstarted"), state("state-done", "completed")] } }] },
                "projects": { "nodes": [{ "id": "project-1", "name": "Core", "slugId": "core" }] },
                "issueLabels": { "nodes": [{ "id": "label-1", "name": "incident-monitor", "team": null }] },
            }))
        }
        "CreateIssue" => {
            let input = &variables["input"];
            let id = text(&input["id"]);
            if held.issues.iter().any(|issue| issue.id == id) {
                return refused("Entity with this id already exists");
            }
            let number = held.issues.len() as u64 + 1;
            let mut issue = fresh(number, &text(&input["title"]), &text(&input["description"]));
            issue.id = id;
            issue.priority = input["priority"].as_u64().unwrap_or_default();
            issue.labels = input["labelIds"].as_array().into_iter().flatten().map(text).collect();
            held.issues.push(issue.clone());
            plain(json!({ "issueCreate": { "success": true, "issue": linear_issue(&issue) } }))
        }
        "CreateComment" => {
            let input = &variables["input"];
            let (id, wanted) = (text(&input["id"]), text(&input["issueId"]));
            if held.issues.iter().flat_map(|issue| &issue.comments).any(|(known, _)| *known == id) {
                return refused("Entity with this id already exists");
            }
            match held.issues.iter_mut().find(|issue| issue.id == wanted) {
                Some(issue) => {
                    issue.comments.push((id.clone(), text(&input["body"])));
                    issue.updated_ms = now_ms();
                    let comment =
                        json!({ "id": id, "body": input["body"], "url": format!("https://linear.app/c/{id}") });
                    plain(json!({ "commentCreate": { "success": true, "comment": comment } }))
                }
                None => refused("Entity not found: Issue"),
            }
        }
        "ReopenIssue" => match held.issues.iter_mut().find(|issue| variables["id"] == issue.id.as_str()) {
            Some(issue) => {
                issue.open = variables["input"]["stateId"] == "state-open";
                issue.updated_ms = now_ms();
                plain(json!({ "issueUpdate": { "success": true, "issue": linear_issue(issue) } }))
            }
            None => refused("Entity not found: Issue"),
        },
        _ => refused("unknown operation"),
    }
}

fn linear_issue(issue: &StoredIssue) -> Value {
    let time = tandem_core::tracker::time::format;
    let state = if issue.open { "unstarted" } else { "completed" };
    json!({
        "id": issue.id, "identifier": format!("ENG-{}", issue.number), "title": issue.title, "description": issue.body,
        "url": format!("https://linear.app/acme/issue/ENG-{}", issue.number), "createdAt": time(issue.created_ms),
        "updatedAt": time(issue.updated_ms), "state": { "id": format!("state-{state}"), "name": state, "type": state },
    })
}
