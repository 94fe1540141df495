//! Each language's trace, read whole: type, message, order of frames, whose code.

use super::super::tests::samples::*;
use super::*;

/// `kind | message | function@file:line` per frame, `*` for the application's own.
fn shown(text: &str) -> Vec<String> {
    let trace = parse_trace(text).unwrap_or_else(|| panic!("no trace in {text}"));
    let mut rows = vec![format!("{:?}", trace.language)];
    for exception in &trace.exceptions {
        rows.push(format!("{} | {}", exception.kind, exception.message));
        for frame in &exception.frames {
            let module = frame.module.as_deref().map_or(String::new(), |m| format!("{m}."));
            let function = frame.function.as_deref().unwrap_or("-");
            let file = frame.file.as_deref().unwrap_or("-").rsplit(['/', '\\']).next().unwrap_or_default();
            let line = frame.line.unwrap_or(0);
            rows.push(format!("{}{module}{function}@{file}:{line}", if frame.in_app { "*" } else { " " }));
        }
    }
    rows
}

#[test]
fn python() {
    assert_eq!(shown(PYTHON), ["Python", "KeyError | 'XAF'", "*price@pricing.py:41", "*create@api.py:88"]);
    assert_eq!(
        shown(PYTHON_CHAINED),
        [
            "Python",
            "TypeError | report() missing 1 required positional argument: 'job'",
            "*<module>@worker.py:12",
            "store.errors.SyncFailed | could not sync catalogue 4711",
            "*main@worker.py:5",
            "*<module>@worker.py:7",
            "requests.exceptions.ConnectionError | HTTPConnectionPool(host='10.0.3.17', port=8080): Max retries exceeded",
            " send@adapters.py:519",
            " get@sessions.py:602",
            "*fetch@client.py:20",
        ]
    );
    assert_eq!(
        shown(PYTHON_GROUP),
        [
            "Python",
            "ExceptionGroup | unhandled errors in a TaskGroup (1 sub-exception)",
            "*<module>@pool.py:9",
            "ValueError | bad",
            "*work@pool.py:4",
        ]
    );
}

#[test]
fn java() {
    assert_eq!(
        shown(JAVA),
        [
            "Java",
            "com.acme.orders.OrderException | could not load order 4711",
            "*com.acme.orders.OrderService.load@OrderService.java:57",
            "*com.acme.orders.OrderController.get@OrderController.java:31",
            " jdk.internal.reflect.DirectMethodHandleAccessor.invoke@DirectMethodHandleAccessor.java:103",
            " org.springframework.web.servlet.FrameworkServlet.service@FrameworkServlet.java:885",
            "org.postgresql.util.PSQLException | ERROR: deadlock detected 40P01",
            " org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse@QueryExecutorImpl.java:2676",
            "*com.acme.orders.OrderRepository.find@OrderRepository.java:112",
            "*com.acme.orders.OrderController.get@OrderController.java:31",
            " jdk.internal.reflect.DirectMethodHandleAccessor.invoke@DirectMethodHandleAccessor.java:103",
            " org.springframework.web.servlet.FrameworkServlet.service@FrameworkServlet.java:885",
        ]
    );
    let main = "Exception in thread \"main\" java.lang.NullPointerException\n\tat com.acme.Main.main(Main.kt:3)";
    assert_eq!(shown(main), ["Java", "java.lang.NullPointerException | ", "*com.acme.Main.main@Main.kt:3"]);
}

#[test]
fn javascript() {
    assert_eq!(
        shown(JAVASCRIPT),
        [
            "JavaScript",
            "TypeError | Cannot read properties of undefined (reading 'total')",
            "*Object.price@pricing.js:41",
            "*OrderService.create@service.mjs:12",
            " -@layer.js:95",
            " new Promise@-:0",
            " process.processTicksAndRejections@node:internal/process/task_queues:95"
                .replace("node:internal/process/", "")
                .as_str(),
            "Error | connect ECONNREFUSED 127.0.0.1:5432",
            " TCPConnectWrap.afterConnect@node:net:1595",
        ]
    );
    assert_eq!(
        shown(BROWSER),
        ["JavaScript", "TypeError | total is undefined", "*price@main.4f3a2b1c.js:1", "*create/<@main.4f3a2b1c.js:1",]
    );
    let coded = "node:internal/errors\nError [ERR_MODULE_NOT_FOUND]: Cannot find module '/app/x.js'\n    at finalizeResolution (node:internal/modules/esm/resolve:275:11)";
    assert_eq!(shown(coded)[1], "Error [ERR_MODULE_NOT_FOUND] | Cannot find module '/app/x.js'");
}

#[test]
fn go() {
    assert_eq!(
        shown(GO),
        [
            "Go",
            "runtime error | index out of range [5] with length 3",
            "*github.com/acme/orders/internal/pricing.(*Table).Rate@table.go:41",
            "*github.com/acme/orders/internal/api.(*Server).Create.func1@server.go:88",
            " net/http.HandlerFunc.ServeHTTP@server.go:2136",
            " net/http.(*Server).Serve@server.go:3086",
        ]
    );
    assert_eq!(
        shown(GO_WRAPPED),
        [
            "Go",
            "panic | rollback failed",
            "panic | open ledger: permission denied",
            "*main.rollback@main.go:21",
            "*main.main@main.go:9",
        ]
    );
    let served = "2026/01/02 03:04:05 http: panic serving 127.0.0.1:9: boom\ngoroutine 5 [running]:\nmain.h(0x1)\n\t/app/h.go:3 +0x1";
    assert_eq!(shown(served), ["Go", "panic | boom", "*main.h@h.go:3"]);
}

#[test]
fn rust() {
    assert_eq!(
        shown(RUST),
        [
            "Rust",
            "panic | called `Result::unwrap()` on an `Err` value: MissingRate(\"XAF\")",
            " rust_begin_unwind@panicking.rs:665",
            " core::panicking::panic_fmt@-:0",
            " core::result::unwrap_failed@-:0",
            "*orders::pricing::rate@pricing.rs:41",
            "*orders::api::create::{{closure}}@api.rs:88",
            " tokio::runtime::task::core::Core<T,S>::poll@core.rs:331",
        ]
    );
    assert_eq!(
        shown(RUST_OLD),
        ["Rust", "panic | index out of bounds: the len is 3 but the index is 5", "*-@main.rs:4"]
    );
    assert_eq!(
        shown(RUST_CHAIN),
        [
            "Rust",
            "Error | failed to load config",
            "Error | failed to read /etc/acme/orders.toml",
            "Error | No such file or directory (os error 2)",
        ]
    );
}

#[test]
fn ruby() {
    assert_eq!(
        shown(RUBY),
        [
            "Ruby",
            "KeyError | key not found: \"XAF\"",
            "*fetch@pricing.rb:41",
            "*rate@pricing.rb:41",
            " each@relation.rb:88",
            " <main>@orders:7",
            "Errno::ECONNREFUSED | Connection refused",
            "*open@store.rb:9",
            "*rate@pricing.rb:40",
        ]
    );
    assert_eq!(
        shown(RUBY_REVERSED),
        [
            "Ruby",
            "NoMethodError | undefined method `*' for nil:NilClass",
            "*rate@pricing.rb:2",
            "*run@orders.rb:5",
            "*<main>@orders.rb:9",
        ]
    );
    assert_eq!(
        shown(RAILS),
        [
            "Ruby",
            "NoMethodError | undefined method `total' for nil:NilClass",
            "*price@order.rb:12",
            "*create@orders_controller.rb:31",
        ]
    );
    let new = "app/x.rb:1:in 'Order#price': undefined method 'total' for nil (NoMethodError)\n\tfrom app/y.rb:2:in 'Array#each'";
    assert_eq!(shown(new)[2], "*Order#price@x.rb:1");
}

#[test]
fn dotnet() {
    assert_eq!(
        shown(DOTNET),
        [
            "DotNet",
            "System.InvalidOperationException | Order 4711 is closed",
            "*Acme.Orders.Service.Price@Service.cs:88",
            "*Acme.Orders.Program.Main@Program.cs:9",
            "System.Net.Http.HttpRequestException | Connection refused (rates:8080)",
            " System.Net.Http.HttpConnectionPool.ConnectAsync@-:0",
            "*Acme.Rates.Client.GetAsync@Client.cs:42",
        ]
    );
}

#[test]
fn prefixes_of_collectors_and_runners_do_not_hide_a_trace() {
    let prefixes = [
        "2026-01-02T03:04:05.1234567Z ",
        "[pod/api-7d9f8b6c5-x2k4j/app] ",
        "api-1  | ",
        "#12 3.456 ",
        "2026-01-02 03:04:05,678 ERROR ",
        "[2026-01-02T03:04:05Z] [main] ",
        "Jan  2 03:04:05 web-1 app[123]: ",
    ];
    for sample in [PYTHON, JAVA, JAVASCRIPT, GO, GO_WRAPPED, RUST, RUST_CHAIN, RUBY, DOTNET, PYTHON_CHAINED] {
        for prefix in prefixes {
            let text: Vec<String> = sample.lines().map(|l| format!("{prefix}{l}")).collect();
            assert_eq!(shown(&text.join("\n")), shown(sample), "{prefix}");
        }
    }
}

#[test]
fn a_trace_inside_a_json_record_is_found() {
    for sample in [PYTHON, JAVASCRIPT, GO, DOTNET] {
        let record = serde_json::json!({"level": "error", "msg": "request failed", "stack": sample}).to_string();
        assert_eq!(shown(&record), shown(sample));
    }
}

#[test]
fn prose_is_no_trace() {
    for text in [
        "look at this: it failed at 10:30",
        "meet me at noon (room 4)",
        "Caused by: the weather",
        "at least: one error",
        "panic in the office",
        "the file pricing.go:12 is wrong",
        "at com.acme.Foo",
        "",
    ] {
        assert_eq!(parse_trace(text), None, "{text}");
    }
}

#[test]
fn the_bound_holds() {
    let mut text = String::from("Traceback (most recent call last):\n");
    for line in 0..3000 {
        text.push_str(&format!("  File \"a.py\", line {line}, in f\n"));
    }
    text.push_str("ValueError: x");
    let frames: usize = parse_trace(&text).map_or(0, |t| t.exceptions.iter().map(|e| e.frames.len()).sum());
    assert_eq!(frames, super::bounds::FRAMES);
}
