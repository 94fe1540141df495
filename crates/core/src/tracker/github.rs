//! GitHub's REST API: the requests that we make, and what is read from their answers.

use serde_json::{Value, json};

use super::{Class, Comment, Issue, IssueRef, IssueState, LABEL, Method, Request, time};

/// How many a page holds.
pub const PAGE: usize = 100;
/// GitHub takes queries up to 256 characters.
const QUERY: usize = 250;

/// Looks for a marker in the bodies of a repository's issues. The index lags behind and matches words, so what is found
/// must still carry the whole marker, and finding nothing proves nothing.
pub fn search(repo: &str, marker: &str) -> Request {
    let scope = format!(" in:body is:issue repo:{repo}");
    let room = QUERY.saturating_sub(scope.len() + 2);
    let query = format!("\"{}\"{scope}", words(marker, room));
    Request::get(Class::Search, format!("search/issues?q={}&per_page=20", encode(&query)))
}

/// The words of a marker, without what a query or a comment gives a meaning to.
fn words(marker: &str, room: usize) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "._-:/".contains(c) { c } else { ' ' };
    let text: String = marker.trim_start_matches("<!--").trim_end_matches("-->").chars().map(plain).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut end = 0;
    for (at, c) in text.char_indices() {
        if at + c.len_utf8() > room {
            break;
        }
        end = at + c.len_utf8();
    }
    text[..end].trim_end().to_owned()
}

/// Issues that were created or changed since, the newest first. This list does not lag.
pub fn created_since(repo: &str, since_ms: u64, page: u64) -> Request {
    let since = encode(&time::format(since_ms));
    Request::get(
        Class::Read,
        format!(
            "repos/{}/issues?state=all&sort=created&direction=desc&since={since}&per_page={PAGE}&page={page}",
            path(repo)
        ),
    )
}

/// Issues that changed since, the oldest change first.
pub fn changed_since(repo: &str, since_ms: u64, page: u64, etag: Option<&str>) -> Request {
    let since = encode(&time::format(since_ms));
    let mut request = Request::get(
        Class::Read,
        format!(
            "repos/{}/issues?state=all&sort=updated&direction=asc&since={since}&per_page={PAGE}&page={page}",
            path(repo)
        ),
    );
    request.etag = etag.map(str::to_owned);
    request
}

pub fn get(repo: &str, number: &str) -> Request {
    Request::get(Class::Read, format!("repos/{}/issues/{}", path(repo), encode(number)))
}

pub fn create(repo: &str, title: &str, body: &str) -> Request {
    let issue = json!({ "title": title, "body": body, "labels": [LABEL] });
    Request::write(Method::Post, format!("repos/{}/issues", path(repo)), issue)
}

pub fn comment(repo: &str, number: &str, body: &str) -> Request {
    Request::write(
        Method::Post,
        format!("repos/{}/issues/{}/comments", path(repo), encode(number)),
        json!({ "body": body }),
    )
}

/// Comments that were made or changed since.
pub fn comments_since(repo: &str, number: &str, since_ms: u64, page: u64) -> Request {
    let since = encode(&time::format(since_ms));
    Request::get(
        Class::Read,
        format!("repos/{}/issues/{}/comments?since={since}&per_page={PAGE}&page={page}", path(repo), encode(number)),
    )
}

/// Opens a closed issue. Doing it twice is doing it once.
pub fn reopen(repo: &str, number: &str) -> Request {
    Request::write(
        Method::Patch,
        format!("repos/{}/issues/{}", path(repo), encode(number)),
        json!({ "state": "open", "state_reason": "reopened" }),
    )
}

fn path(repo: &str) -> String {
    repo.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// Percent-encodes everything but unreserved characters, so that no text can change the shape of a path or a query.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        // A segment of dots would be resolved away.
        let dots = text.bytes().all(|b| b == b'.');
        if (byte.is_ascii_alphanumeric() || b"-_~.".contains(&byte)) && !dots {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An issue. Pull requests are issues to this API; ours are not among them.
pub fn issue(value: &Value) -> Option<Issue> {
    let number = value.get("number")?.as_u64()?;
    if value.get("pull_request").is_some_and(|request| !request.is_null()) {
        return None;
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    Some(Issue {
        reference: IssueRef {
            id: number.to_string(),
            number: Some(number),
            identifier: None,
            url: text("html_url")
                .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
                .map(str::to_owned),
        },
        state: match text("state")? {
            "open" => IssueState::Open,
            "closed" => IssueState::Closed,
            _ => return None,
        },
        title: text("title").unwrap_or_default().to_owned(),
        body: text("body").unwrap_or_default().to_owned(),
        created_at_ms: text("created_at").and_then(time::parse),
        updated_at_ms: text("updated_at").and_then(time::parse),
        closed_at_ms: text("closed_at").and_then(time::parse),
    })
}

/// The rows of a list or of a search, and how many there were with those that are no issues.
pub fn issues(value: &Value) -> Option<(Vec<Issue>, usize)> {
    let rows = value.as_array().or_else(|| value.get("items").and_then(Value::as_array))?;
    Some((rows.iter().filter_map(issue).collect(), rows.len()))
}

/// The time of the latest change in a list, pull requests included: they fill pages, too.
pub fn latest(value: &Value) -> Option<u64> {
    value.as_array()?.iter().filter_map(|row| time::parse(row.get("updated_at")?.as_str()?)).max()
}

pub fn comment_of(value: &Value) -> Option<Comment> {
    Some(Comment {
        id: value.get("id")?.as_u64()?.to_string(),
        url: value.get("html_url").and_then(Value::as_str).map(str::to_owned),
        body: value.get("body").and_then(Value::as_str).unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_search_names_the_marker_and_the_repository() {
        let marker = crate::triage::marker::fingerprint("v2:0123456789abcdef0123456789abcdef");
        let request = search("acme/app", &marker);
        assert_eq!(
            request.path,
            "search/issues?q=%22tandem%3Afingerprint%3Av1%3Av2%3A0123456789abcdef0123456789abcdef%22\
             %20in%3Abody%20is%3Aissue%20repo%3Aacme%2Fapp&per_page=20"
        );
        let hostile = search("acme/app", "<!-- tandem:fingerprint:v1:a\" repo:evil/x \" OR is:pr -->");
        assert_eq!(hostile.path.matches("%22").count(), 2, "{}", hostile.path);
    }

    #[test]
    fn an_issue_is_read_and_a_pull_request_is_none() {
        let row = json!({"number": 7, "state": "closed", "title": "T", "body": null, "html_url": "https://github.com/a/b/issues/7",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"});
        let read = issue(&row).expect("an issue");
        assert_eq!((read.reference.id.as_str(), read.state, read.body.as_str()), ("7", IssueState::Closed, ""));
        let mut request = row.clone();
        request["pull_request"] = json!({});
        assert_eq!(issue(&request), None);
        let odd =
            [json!({}), json!({"number": "7", "state": "open"}), json!({"number": 7, "state": "merged"}), json!([])];
        assert!(odd.iter().all(|value| issue(value).is_none()));
        let (found, rows) = issues(&json!({"items": [row, request]})).expect("a list");
        assert_eq!((found.len(), rows), (1, 2));
        assert_eq!(issues(&json!({"message": "no"})), None);
    }

    proptest! {
        /// No text leaves the place in the URL that it was put in.
        #[test]
        fn texts_stay_in_their_place(repo in "\\PC{1,60}", number in "\\PC{1,20}", marker in "\\PC{0,300}") {
            for request in [search(&repo, &marker), get(&repo, &number), comment(&repo, &number, "b")] {
                let url = format!("https://api.github.com/{}", request.path);
                let parsed = url::Url::parse(&url).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert_eq!(parsed.host_str(), Some("api.github.com"));
                prop_assert_eq!(parsed.fragment(), None);
                let root = parsed.path().split('/').nth(1).unwrap_or_default().to_owned();
                prop_assert!(root == "repos" || root == "search", "{}", url);
                prop_assert!(parsed.query_pairs().count() <= 2);
            }
        }
        #[test]
        fn a_query_stays_within_its_bound(repo in "[a-z]{1,30}/[a-z]{1,60}", marker in "\\PC{0,400}") {
            let url = format!("https://api.github.com/{}", search(&repo, &marker).path);
            let parsed = url::Url::parse(&url).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let query = parsed.query_pairs().next().map(|(_, q)| q.into_owned()).unwrap_or_default();
            prop_assert!(query.chars().count() <= 256, "{}", query);
            prop_assert_eq!(query.matches('"').count(), 2);
        }
    }
}
