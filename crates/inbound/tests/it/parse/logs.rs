//! Logs of each language and system, and what is found in them: which lines, how bad, what type, what message.

use super::*;

pub const ALL: [(&str, &str, &str); 11] = [
    ("python", include_str!("../../logs/python.log"), include_str!("../../logs/python.found")),
    ("java", include_str!("../../logs/java.log"), include_str!("../../logs/java.found")),
    ("node", include_str!("../../logs/node.log"), include_str!("../../logs/node.found")),
    ("go", include_str!("../../logs/go.log"), include_str!("../../logs/go.found")),
    ("rust", include_str!("../../logs/rust.log"), include_str!("../../logs/rust.found")),
    ("ruby", include_str!("../../logs/ruby.log"), include_str!("../../logs/ruby.found")),
    ("dotnet", include_str!("../../logs/dotnet.log"), include_str!("../../logs/dotnet.found")),
    ("system", include_str!("../../logs/system.log"), include_str!("../../logs/system.found")),
    ("containers", include_str!("../../logs/containers.log"), include_str!("../../logs/containers.found")),
    ("records", include_str!("../../logs/records.log"), include_str!("../../logs/records.found")),
    ("quiet", include_str!("../../logs/quiet.log"), ""),
];

#[test]
fn a_trace_below_a_bare_priority_still_has_a_message() {
    let found = failures("<11>\na.rb:1:in `f': x (KeyError)no \na.rb:1:in `f': x (KeyError)\n");
    assert!(found.iter().all(|found| !found.message.is_empty()), "{found:#?}");
}

#[test]
fn each_log_has_its_failures_and_no_others() {
    let mut wrong = String::new();
    for (name, log, expected) in ALL {
        let actual = shown(&failures(log), log.as_bytes());
        if actual != expected {
            wrong.push_str(&format!("== {name}\n{actual}"));
        }
    }
    assert!(wrong.is_empty(), "found otherwise than expected:\n{wrong}");
}
