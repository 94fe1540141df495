//! MCP servers as the clients' files write them: an object by name, each with a command or an address.

use serde_json::Value;

use super::strings;
use crate::declared::read::{DeclaredBody, ServerBody};

/// Adds the servers of `map`. Those that the file switches off are left out; a name that is there already is not repeated.
pub fn add(body: &mut DeclaredBody, map: &Value) {
    let Some(map) = map.as_object() else { return };
    for (name, value) in map {
        let off = value["disabled"] == true || value["enabled"] == false;
        let known = body.servers.iter().any(|server| server.name.as_deref() == Some(name));
        if value.is_object() && !off && !known {
            body.servers.push(server(name, value));
        }
    }
}

fn server(name: &str, value: &Value) -> ServerBody {
    let first = |keys: &[&str]| keys.iter().find_map(|key| value.get(*key).filter(|found| !found.is_null()));
    let text = |keys: &[&str]| first(keys).and_then(Value::as_str).map(str::to_owned);
    let mut secret_keys: Vec<String> =
        ["bearer_token_env_var", "envFile"].iter().filter_map(|key| value[*key].as_str()).map(str::to_owned).collect();
    secret_keys.extend(strings(&value["env_vars"]));
    secret_keys.extend(value["env_http_headers"].as_object().into_iter().flatten().map(|(header, _)| header.clone()));
    ServerBody {
        name: Some(name.to_owned()),
        transport: text(&["type", "transport"]),
        url: text(&["url", "httpUrl", "serverUrl"]),
        command: first(&["command", "cmd"]).cloned(),
        target: None,
        allowed_tools: first(&["includeTools", "allowedTools", "enabled_tools"]).map(strings),
        env: first(&["env"]).cloned(),
        headers: first(&["headers", "http_headers"]).cloned(),
        secret_keys,
    }
}
