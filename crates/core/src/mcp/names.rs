//! Names of servers and tools: which are usable, their namespaced form, and what an allowlist admits.

/// Servers and tools have names of at most this many bytes.
pub const NAME_BYTES: usize = 128;

/// A server's name: letters, digits, `.`, `_` and `-`, so that it stands in a URL path as it is.
pub fn valid_server(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !matches!(name, "." | "..")
        && !RESERVED.contains(&name)
}

/// Words that stand where a server's name stands in our own paths.
const RESERVED: [&str; 5] = ["tools", "resources", "rpc", "catalog", "oauth"];

/// A tool's name as we store it: printable ASCII without spaces.
pub fn valid_tool(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(|b| b.is_ascii_graphic())
}

/// Lower case, with every run of other characters than letters and digits as one `_`.
pub fn slug(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    out.trim_matches('_').to_owned()
}

/// `mcp.<slug of the server>.<tool>`.
pub fn namespaced(server: &str, tool: &str) -> String {
    format!("mcp.{}.{tool}", slug(server))
}

/// Whether `wanted` names this tool: raw or namespaced, in any case.
pub fn same_tool(server: &str, tool: &str, wanted: &str) -> bool {
    let wanted = wanted.trim();
    tool.eq_ignore_ascii_case(wanted) || namespaced(server, tool).eq_ignore_ascii_case(wanted)
}

/// Whether a server's allowlist admits the tool. No list admits all, an empty one none. An entry is `*`, a raw name,
/// `mcp.<slug>.<tool>` or `mcp.<slug>.*`.
pub fn allowed(list: Option<&[String]>, server: &str, tool: &str) -> bool {
    let Some(list) = list else { return true };
    let all = format!("mcp.{}.*", slug(server));
    list.iter()
        .map(|entry| entry.trim())
        .any(|entry| entry == "*" || entry.eq_ignore_ascii_case(&all) || same_tool(server, tool, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_namespaces() {
        for (name, wanted) in [("GitHub", "github"), ("my  server--1", "my_server_1"), ("_x_", "x"), ("ü", "")] {
            assert_eq!(slug(name), wanted, "{name}");
        }
        assert_eq!(namespaced("My Server", "create_issue"), "mcp.my_server.create_issue");
    }

    #[test]
    fn allowlists() {
        let list = |entries: &[&str]| entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>();
        for (entries, wanted) in [
            (vec!["*"], true),
            (vec!["create_issue"], true),
            (vec![" CREATE_issue "], true),
            (vec!["mcp.git_hub.create_issue"], true),
            (vec!["mcp.git_hub.*"], true),
            (vec!["mcp.other.*"], false),
            (vec!["mcp.*"], false),
            (vec!["create_"], false),
            (vec!["create_issue.*"], false),
            (vec![""], false),
            (vec![], false),
        ] {
            assert_eq!(allowed(Some(&list(&entries)), "git-hub", "create_issue"), wanted, "{entries:?}");
        }
        assert!(allowed(None, "git-hub", "create_issue"));
    }

    #[test]
    fn server_names_fit_into_paths() {
        for name in ["gh", "a.b-c_d", "A1"] {
            assert!(valid_server(name), "{name}");
        }
        for name in ["", " ", "a/b", "..", "tools", "a b", "é", &"x".repeat(65)] {
            assert!(!valid_server(name), "{name}");
        }
    }
}
