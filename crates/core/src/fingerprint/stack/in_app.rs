//! Which frames are the application's own. Decided by where the language keeps its libraries; nothing is configured.

use super::{Frame, Language};

const JVM_LIBRARIES: [&str; 62] = [
    "java.",
    "javax.",
    "jakarta.",
    "jdk.",
    "sun.",
    "com.sun.",
    "kotlin.",
    "kotlinx.",
    "scala.",
    "akka.",
    "groovy.",
    "org.codehaus.",
    "org.springframework.",
    "org.apache.",
    "org.hibernate.",
    "org.junit.",
    "junit.",
    "org.testng.",
    "io.netty.",
    "reactor.",
    "com.fasterxml.",
    "com.google.common.",
    "com.google.gson.",
    "com.google.inject.",
    "com.zaxxer.",
    "com.mysql.",
    "org.postgresql.",
    "org.mariadb.",
    "oracle.",
    "com.mongodb.",
    "io.undertow.",
    "org.eclipse.",
    "org.jboss.",
    "io.micrometer.",
    "org.gradle.",
    "android.",
    "androidx.",
    "com.android.",
    "dalvik.",
    "okhttp3.",
    "okio.",
    "retrofit2.",
    "io.grpc.",
    "org.mockito.",
    "net.bytebuddy.",
    "net.sf.cglib.",
    "redis.clients.",
    "io.lettuce.",
    "io.vertx.",
    "org.slf4j.",
    "ch.qos.logback.",
    "com.intellij.",
    "org.h2.",
    "org.quartz.",
    "rx.",
    "io.reactivex.",
    "feign.",
    "brave.",
    "org.aspectj.",
    "clojure.",
    "cats.",
    "zio.",
];
const DOTNET_LIBRARIES: [&str; 14] = [
    "System.",
    "Microsoft.",
    "Newtonsoft.",
    "Npgsql.",
    "Dapper.",
    "MediatR.",
    "Polly.",
    "AutoMapper.",
    "Xunit.",
    "NUnit.",
    "Serilog.",
    "StackExchange.",
    "MassTransit.",
    "Grpc.",
];
const RUST_LIBRARIES: [&str; 26] = [
    "std::",
    "core::",
    "alloc::",
    "rust_begin_unwind",
    "_rust_begin",
    "__rust",
    "__libc",
    "_start",
    "start_thread",
    "clone",
    "main",
    "_main",
    "tokio::",
    "anyhow::",
    "eyre::",
    "color_eyre::",
    "backtrace::",
    "futures",
    "hyper::",
    "axum::",
    "tower",
    "rayon",
    "serde",
    "test::",
    "panic_unwind::",
    "tracing",
];

pub fn decide(language: Language, frame: &Frame) -> bool {
    let file = frame.file.as_deref().unwrap_or_default();
    let function = frame.function.as_deref().unwrap_or_default();
    let module = frame.module.as_deref().unwrap_or_default();
    let starts = |text: &str, list: &[&str]| list.iter().any(|p| text.starts_with(p));
    let has = |list: &[&str]| list.iter().any(|p| file.contains(p));
    match language {
        Language::Python => {
            !has(&[
                "site-packages/",
                "dist-packages/",
                "site-packages\\",
                "<frozen ",
                "/lib/python",
                "\\lib\\python",
                "\\Lib\\",
                "/.pyenv/",
                "/conda/lib/",
            ]) && !file.starts_with('<')
        }
        Language::Java => {
            let made = ["$Proxy", "CGLIB$$", "$$FastClass", "$$Lambda", "jdk.proxy"].iter().any(|m| module.contains(m));
            !starts(module, &JVM_LIBRARIES) && !made
        }
        Language::JavaScript => {
            !file.is_empty()
                && !starts(
                    file,
                    &[
                        "node:",
                        "internal/",
                        "webpack/",
                        "native ",
                        "bun:",
                        "ext:",
                        "deno:",
                        "<",
                        "chrome-extension:",
                        "moz-extension:",
                        "evalmachine",
                    ],
                )
                && !has(&["node_modules", "/webpack/bootstrap", "(webpack)", ".yarn/"])
                && !matches!(file, "events.js" | "net.js" | "fs.js" | "module.js" | "timers.js" | "_http_client.js")
        }
        Language::Go => {
            let standard = has(&[
                "/usr/local/go/src/",
                "/go/src/runtime/",
                "/libexec/src/",
                "/pkg/mod/",
                "/vendor/",
                "/toolchain@",
                "_cgo_gotypes",
            ]) || file.starts_with("vendor/");
            let machinery =
                starts(function, &["runtime.", "runtime/", "net/http.", "testing.", "reflect.", "sync.", "panic"]);
            !standard && !machinery
        }
        Language::Rust => {
            let library = has(&[
                "/rustc/",
                ".cargo/registry/",
                ".cargo/git/",
                "/.rustup/",
                "/library/std/",
                "/library/core/",
                "/library/alloc/",
                "cargo\\registry\\",
            ]);
            // `<alloc::vec::Vec<T> as …>` begins with its type.
            let name = function.trim_start_matches(['<', '&', '_']);
            let exact = ["clone", "main", "_start", "_main"];
            let machinery = RUST_LIBRARIES.iter().any(|p| {
                if exact.contains(p) { function == *p } else { name.starts_with(p) || function.starts_with(p) }
            });
            !library && !machinery
        }
        Language::Ruby => {
            !has(&["/gems/", "/lib/ruby/", "/rubygems/", "/vendor/bundle/", "/rbenv/", "/.rvm/"])
                && !starts(file, &["<internal", "bin/", "(eval"])
                && !file.contains("/bin/")
        }
        Language::DotNet => !starts(module, &DOTNET_LIBRARIES),
    }
}
