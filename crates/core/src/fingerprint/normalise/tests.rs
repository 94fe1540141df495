//! What is volatile and what names a failure, row by row.

use super::*;

#[test]
fn volatile_parts_become_placeholders() {
    let rows = [
        ("job 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b died", "job <uuid> died"),
        ("commit 7f3c9a1e and 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit <hex> and <hex>"),
        ("at 0x7ffee4b2 in pool", "at <hex> in pool"),
        ("2026-01-02T03:04:05.678Z failed", "<time> failed"),
        ("2026-01-02 03:04:05,678 failed", "<time> failed"),
        ("Jan  2 15:04:05 failed", "<time> failed"),
        ("[02/Jan/2026:03:04:05 +0000] x", "[<time>] x"),
        ("Mon, 02 Jan 2026 15:04:05 GMT x", "<time> x"),
        ("took 250ms, then 1m30s, then 1.5 seconds", "took <duration>, then <duration>, then <duration>"),
        ("read 12 KiB of 3MB", "read <size> of <size>"),
        ("dial 10.0.3.17:5432 refused", "dial <ip> refused"),
        ("dial [2001:db8::1]:443 refused", "dial <ip> refused"),
        ("dial fe80::1 refused", "dial <ip> refused"),
        ("mail to jane.doe+x@example.com bounced", "mail to <email> bounced"),
        ("open /tmp/abc123/x.py: no", "open <path>/x.py: no"),
        ("open /tmp/tmpxkqzjw: no", "open <path>: no"),
        (r"open C:\Users\jane\app\main.cs: no", "open <path>/main.cs: no"),
        ("GET https://user:pw@api.example.com:8443/v1/users/123?x=1 no", "GET https://api.example.com/v1/users/<n> no"),
        ("GET http://10.0.0.1:80/x no", "GET http://<ip>/x no"),
        ("GET /api/users/123/cards no", "GET /api/users/<n>/cards no"),
        ("1,234 of 5.5 items, -3 left", "<n> of <n> items, <n> left"),
        ("worker-12 user_77", "worker-<n> user_<n>"),
        ("pod api-7d9f8b6c5-x2k4j and api-7d9f8b6c5-xkvzq", "pod api-<hex>-<id> and api-<hex>-<id>"),
        (
            r#"request_id=abc pid: 77 {"trace_id":"zz"} host="web""#,
            r#"request_id=<id> pid: <id> {"trace_id":"<id>"} host="<id>""#,
        ),
        ("order 'A-1029' is 'open'", "order 'A-<n>' is 'open'"),
        ("a\t b\n\n c  \u{1b}[31mred\u{1b}[0m", "a b c red"),
        ("x86_64 and utf8", "x<n>_<n> and utf<n>"),
        ("ULID 01ARZ3NDEKTSV4RRFFQ69G5FAV", "ULID <id>"),
    ];
    for (input, expected) in rows {
        assert_eq!(normalise(input), expected, "{input}");
    }
}

#[test]
fn what_names_a_failure_stays() {
    for text in [
        "HTTP 404",
        "HTTP 500 from upstream",
        "status=503",
        "status code 502",
        "statusCode: 500",
        r#"{"status":504}"#,
        "404 Client Error: Not Found",
        "upstream returned 502",
        "exit code 137",
        "exited with 1",
        "exited with code 255",
        "exit status 2",
        "process exited with code -9",
        "killed by signal 9",
        "signal SIGSEGV received",
        "connect ECONNREFUSED",
        "No such file or directory (os error 2)",
        "Connection refused (os error 111)",
        "[Errno 13] Permission denied",
        "deadlock detected 40P01",
        "SQLSTATE 23505",
        "error[E0382]: use of moved value",
        "ORA-00001: unique constraint",
        "error TS2345: Argument",
        "Error [ERR_MODULE_NOT_FOUND]: Cannot find module",
        "HRESULT 0x80070005",
        "MSB3073",
        "POST failed",
        "src/orders/service.rs",
        "deadbeef feedface",
        "std::io::Error",
        "Got 404 for the cart",
        "received 500 from upstream",
        "returned a 503",
        "responded with a status of 404",
        "The requested URL returned error: 404",
        "The remote server returned an error: (404) gone",
        "got a 500 response",
        "HttpException(404)",
        "ApiError: 503",
        "ResponseError 404",
        "HTTP404",
        "raise Http404",
        "Http404Error: no page",
        "OAuth2Exception",
        "charge -> 502",
        "charge => 502",
        "GET /cart 404",
        "POST https://pay.example.com/charge 503 in a hurry",
        "404 /cart",
        "SMTP 550 no such mailbox",
        "TLS alert 40",
        "curl: (28) no answer",
    ] {
        assert_eq!(normalise(text), text);
    }
    assert_eq!(normalise(r#""GET /x/1 HTTP/1.1" 404 1234"#), r#""GET /x/<n> HTTP" 404 <n>"#);
    assert_eq!(normalise("ERROR 1045 (28000): denied"), "ERROR 1045 (<n>): denied");
    assert_eq!(normalise("ERROR 48151 --- x"), "ERROR <n> --- x");
}

#[test]
fn a_count_is_not_a_code() {
    for text in [
        "found 404 rows",
        "returned 500 rows",
        "port 8080",
        "attempt 3/5",
        "line 12",
        "errors: 3",
        "got 404 rows",
        "a 500 line file",
        "ERROR: 404 items were lost",
        "KeyError: 404",
        "500 users",
    ] {
        assert!(normalise(text).contains(NUMBER), "{text}");
        assert!(codes(text).is_empty(), "{text}");
    }
}

#[test]
fn codes_are_collected_once() {
    assert_eq!(codes("rpc DEADLINE_EXCEEDED, then UNAVAILABLE"), ["DEADLINE_EXCEEDED", "UNAVAILABLE"]);
    assert_eq!(codes("HTTP 404 then status 404, ECONNREFUSED, exit code 1"), ["404", "ECONNREFUSED", "1"]);
}
