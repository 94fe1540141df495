//! Traces as the runtimes print them, shared by the tests of parsing and of grouping.

pub const PYTHON: &str = r#"Traceback (most recent call last):
  File "/srv/app/releases/20260101/orders/api.py", line 88, in create
    total = price(order)
            ^^^^^^^^^^^^
  File "/srv/app/releases/20260101/orders/pricing.py", line 41, in price
    return rates[order["currency"]]
           ~~~~~^^^^^^^^^^^^^^^^^^^
KeyError: 'XAF'"#;

pub const PYTHON_CHAINED: &str = r#"Traceback (most recent call last):
  File "/app/store/client.py", line 20, in fetch
    return self.session.get(url, timeout=3)
  File "/usr/local/lib/python3.12/site-packages/requests/sessions.py", line 602, in get
    return self.request("GET", url, **kwargs)
  File "/usr/local/lib/python3.12/site-packages/requests/adapters.py", line 519, in send
    raise ConnectionError(e, request=request)
requests.exceptions.ConnectionError: HTTPConnectionPool(host='10.0.3.17', port=8080): Max retries exceeded

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/worker.py", line 7, in <module>
    main()
  File "/app/worker.py", line 5, in main
    sync()
store.errors.SyncFailed: could not sync catalogue 4711

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/worker.py", line 12, in <module>
    report(error)
TypeError: report() missing 1 required positional argument: 'job'"#;

pub const PYTHON_GROUP: &str = r#"  + Exception Group Traceback (most recent call last):
  |   File "/app/pool.py", line 9, in <module>
  |     run()
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/app/pool.py", line 4, in work
    |     raise ValueError("bad")
    | ValueError: bad
    +------------------------------------"#;

pub const JAVA: &str =
    "2026-01-02 03:04:05.678 ERROR 48151 --- [nio-8080-exec-3] c.a.o.OrderController : request failed
com.acme.orders.OrderException: could not load order 4711
\tat com.acme.orders.OrderService.load(OrderService.java:57) ~[classes!/:na]
\tat com.acme.orders.OrderController.get(OrderController.java:31) ~[classes!/:na]
\tat java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:103)
\tat org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:885)
\tSuppressed: java.io.IOException: close
\t\tat com.acme.io.Pool.close(Pool.java:9)
Caused by: org.postgresql.util.PSQLException: ERROR: deadlock detected 40P01
\tat org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2676)
\tat com.acme.orders.OrderRepository.find(OrderRepository.java:112)
\t... 3 more";

pub const JAVASCRIPT: &str = r#"/app/dist/server.js:12
    throw new Error("x")
    ^

TypeError: Cannot read properties of undefined (reading 'total')
    at Object.price (/app/src/orders/pricing.js:41:18)
    at async OrderService.create (file:///app/src/orders/service.mjs:12:5)
    at /app/node_modules/express/lib/router/layer.js:95:5
    at new Promise (<anonymous>)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5) {
  code: 'E_TOTAL',
  [cause]: Error: connect ECONNREFUSED 127.0.0.1:5432
      at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1595:16) {
    errno: -111,
    code: 'ECONNREFUSED'
  }
}

Node.js v22.1.0"#;

pub const BROWSER: &str = "TypeError: total is undefined
price@https://shop.example.com/static/js/main.4f3a2b1c.js:1:2345
create/<@https://shop.example.com/static/js/main.4f3a2b1c.js:1:99";

pub const GO: &str = "2026/01/02 03:04:05 starting
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
github.com/acme/orders/internal/pricing.(*Table).Rate(0xc000010250, {0xc00001c0a8, 0x3})
\t/build/src/internal/pricing/table.go:41 +0x1d
github.com/acme/orders/internal/api.(*Server).Create.func1()
\t/build/src/internal/api/server.go:88 +0x9c
net/http.HandlerFunc.ServeHTTP(0xc0000b4000, {0x7f8a10, 0xc0000c0000}, 0xc0000d2000)
\t/usr/local/go/src/net/http/server.go:2136 +0x29
created by net/http.(*Server).Serve in goroutine 1
\t/usr/local/go/src/net/http/server.go:3086 +0x5cb
exit status 2";

pub const GO_WRAPPED: &str = "panic: open ledger: permission denied [recovered]
\tpanic: rollback failed
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x49d2a5]

goroutine 17 [running]:
panic({0x4b1f20?, 0x4e8a90?})
\t/usr/local/go/src/runtime/panic.go:884 +0x213
main.rollback(...)
\t/app/main.go:21
main.main()
\t/app/main.go:9 +0x1d";

pub const RUST: &str = "thread 'tokio-runtime-worker' (48151) panicked at src/pricing.rs:41:18:
called `Result::unwrap()` on an `Err` value: MissingRate(\"XAF\")
stack backtrace:
   0: rust_begin_unwind
             at /rustc/9fc6b43126469e3858e2fe86cafb4f0fd5068869/library/std/src/panicking.rs:665:5
   1: core::panicking::panic_fmt
   2: core::result::unwrap_failed
   3: orders::pricing::rate
             at ./src/pricing.rs:41:18
   4: orders::api::create::{{closure}}::h0123456789abcdef
             at ./src/api.rs:88:9
   5: tokio::runtime::task::core::Core<T,S>::poll
             at /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.43.0/src/runtime/task/core.rs:331:17
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.";

pub const RUST_OLD: &str =
    "thread 'main' panicked at 'index out of bounds: the len is 3 but the index is 5', src/main.rs:4:5
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace";

pub const RUST_CHAIN: &str = "Error: failed to load config

Caused by:
    0: failed to read /etc/acme/orders.toml
    1: No such file or directory (os error 2)";

pub const RUBY: &str = "/app/lib/pricing.rb:41:in `fetch': key not found: \"XAF\" (KeyError)
\tfrom /app/lib/pricing.rb:41:in `block in rate'
\tfrom /usr/local/bundle/gems/activerecord-7.1.0/lib/active_record/relation.rb:88:in `each'
\tfrom /app/bin/orders:7:in `<main>'
/app/lib/store.rb:9:in `open': Connection refused (Errno::ECONNREFUSED)
\tfrom /app/lib/pricing.rb:40:in `rate'";

pub const RUBY_REVERSED: &str = "Traceback (most recent call last):
\t2: from app/orders.rb:9:in `<main>'
\t1: from app/orders.rb:5:in `run'
app/pricing.rb:2:in `rate': undefined method `*' for nil:NilClass (NoMethodError)";

pub const RAILS: &str = "NoMethodError (undefined method `total' for nil:NilClass):

app/models/order.rb:12:in `price'
app/controllers/orders_controller.rb:31:in `create'";

pub const DOTNET: &str = "Unhandled exception. System.InvalidOperationException: Order 4711 is closed
 ---> System.Net.Http.HttpRequestException: Connection refused (rates:8080)
   at System.Net.Http.HttpConnectionPool.ConnectAsync(HttpRequestMessage request)
   at Acme.Rates.Client.<GetAsync>d__12.MoveNext() in /src/Rates/Client.cs:line 42
   --- End of inner exception stack trace ---
   at Acme.Orders.Service.Price(Order order) in /src/Orders/Service.cs:line 88
   at Acme.Orders.Program.<>c__DisplayClass3_0.<Main>b__1() in /src/Program.cs:line 9";

pub const ALL: [&str; 17] = [
    PYTHON,
    PYTHON_CHAINED,
    PYTHON_GROUP,
    JAVA,
    JAVASCRIPT,
    BROWSER,
    GO,
    GO_WRAPPED,
    RUST,
    RUST_OLD,
    RUST_CHAIN,
    RUBY,
    RUBY_REVERSED,
    RAILS,
    DOTNET,
    "",
    "plain failure 42",
];
