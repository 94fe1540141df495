//! What is kept of a declaration: names, hosts and programs, never a value.
//!
//! Callers may send what they have: parameters, environments, headers and addresses as they stand in their files. Of
//! parameters, environments and headers the names are kept, of an address its host, of a command its program. Everything
//! that stays is redacted and bounded. Reading what was kept gives the same again, so its digest is stable.
//!
//! Keys that are not known are passed over: a framework may know more than is judged here.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{
    error::{Code, Failure},
    redaction::{Counts, redactor},
    text,
};
use url::Url;
use utoipa::ToSchema;

use super::{
    Declared, DeclaredKind, DeclaredServer, DeclaredSpec, Hook, HookAction, Origin, PackKind, PackSource, Step,
};

/// Bytes of an id, of a name or word, of a text.
const ID: usize = 200;
const WORD: usize = 300;
const TEXT: usize = 2_000;
/// Entries of one list.
const STEPS: usize = 500;
const HOOKS: usize = 200;
const ACTIONS: usize = 100;
const TOOLS: usize = 1_000;
const SERVERS: usize = 200;
const KEYS: usize = 200;
const RELATED: usize = 200;
/// A repetition may be awaited for at least and at most this long.
const SHORTEST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 365 * 86_400_000;

/// The body of a declaration. Unknown keys are ignored; a key that is absent or null says nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeclaredBody {
    /// The id when absent.
    pub name: Option<String>,
    pub description: Option<String>,
    /// True when absent.
    pub enabled: Option<bool>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// `langgraph`, `crewai`, `claude`, …
    pub framework: Option<String>,
    /// Where it stands: a file, or an address of which the host is kept.
    pub locator: Option<String>,
    pub source: Option<SourceBody>,
    pub steps: Vec<StepBody>,
    pub hooks: Vec<HookBody>,
    /// Absent: nothing limits the tools. Empty: none may be used.
    #[serde(alias = "toolAllowlist")]
    pub tool_allowlist: Option<Vec<String>>,
    #[serde(alias = "toolDenylist")]
    pub tool_denylist: Vec<String>,
    pub servers: Vec<ServerBody>,
    #[serde(alias = "approvalPolicy")]
    pub approval_policy: Option<String>,
    /// Declared or registered things that it belongs to or runs, as `<kind>:<id>`.
    pub related: Vec<String>,
    #[serde(alias = "dataClassification")]
    pub data_classification: Option<String>,
    /// `api` when absent.
    pub origin: Option<Origin>,
    /// Without a repetition for this long it is stale; seven days when absent, one second to a year.
    #[serde(alias = "staleAfterMs")]
    pub stale_after_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SourceBody {
    pub kind: Option<PackKind>,
    #[serde(alias = "packId")]
    pub pack_id: Option<String>,
    pub path: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StepBody {
    #[serde(alias = "stepId", alias = "id")]
    pub step_id: Option<String>,
    pub action: Option<String>,
    /// Only the names of its keys are kept.
    #[serde(alias = "with")]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
    #[serde(alias = "hasParameters")]
    pub has_parameters: Option<bool>,
    #[serde(alias = "parameterKeys")]
    pub parameter_keys: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HookBody {
    #[serde(alias = "bindingId", alias = "id")]
    pub binding_id: Option<String>,
    pub event: Option<String>,
    pub enabled: Option<bool>,
    #[serde(alias = "workflowId")]
    pub workflow_id: Option<String>,
    pub actions: Vec<ActionBody>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ActionBody {
    pub action: Option<String>,
    /// Only the names of its keys are kept.
    #[serde(alias = "with")]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
    #[serde(alias = "hasParameters")]
    pub has_parameters: Option<bool>,
    #[serde(alias = "parameterKeys")]
    pub parameter_keys: Vec<String>,
}

/// An MCP server, as configuration files write it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ServerBody {
    pub name: Option<String>,
    /// `stdio`, `http` or `sse`; found out from `url` or `command` when absent.
    #[serde(alias = "type")]
    pub transport: Option<String>,
    /// Only its host is kept.
    #[serde(alias = "httpUrl", alias = "serverUrl")]
    pub url: Option<String>,
    /// A program or a command line; only the program's name is kept.
    #[schema(value_type = Option<String>)]
    pub command: Option<Value>,
    /// A host or a program, where neither `url` nor `command` is given.
    pub target: Option<String>,
    #[serde(alias = "allowedTools", alias = "includeTools")]
    pub allowed_tools: Option<Vec<String>>,
    /// Only the names are kept.
    #[schema(value_type = Option<Object>)]
    pub env: Option<Value>,
    /// Only the names are kept.
    #[schema(value_type = Option<Object>)]
    pub headers: Option<Value>,
    #[serde(alias = "secretKeys")]
    pub secret_keys: Vec<String>,
}

/// A declaration that was read: what is kept, and how long it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub kind: DeclaredKind,
    pub object_id: String,
    pub origin: Origin,
    pub spec: DeclaredSpec,
    pub stale_after_ms: u64,
    /// SHA-256 over all of it, hex.
    pub digest: String,
}

/// # Errors
/// The id is none, or looks like a secret; a list or a word is too long; a related thing is not `<kind>:<id>`.
pub fn read(kind: DeclaredKind, id: &str, body: DeclaredBody) -> Result<Said, Failure> {
    if !valid_id(id) {
        return Err(invalid("id", "an id is 1 to 200 of `A-Za-z0-9._:@-`, and no secret"));
    }
    let spec = DeclaredSpec {
        name: word("name", body.name.as_deref())?.unwrap_or_else(|| id.to_owned()),
        description: prose(body.description.as_deref()),
        enabled: body.enabled.unwrap_or(true),
        owner: word("owner", body.owner.as_deref())?,
        framework: word("framework", body.framework.as_deref())?,
        locator: body.locator.as_deref().and_then(locator),
        source: body.source.map(source).transpose()?,
        steps: steps(body.steps)?,
        hooks: hooks(body.hooks)?,
        tool_allowlist: body.tool_allowlist.map(|tools| words("tool_allowlist", tools, TOOLS)).transpose()?,
        tool_denylist: words("tool_denylist", body.tool_denylist, TOOLS)?,
        servers: servers(body.servers)?,
        approval_policy: word("approval_policy", body.approval_policy.as_deref())?,
        related: related(body.related)?,
        data_classification: word("data_classification", body.data_classification.as_deref())?,
    };
    let origin = body.origin.unwrap_or_default();
    let stale_after_ms = match body.stale_after_ms {
        None | Some(0) => Declared::STALE_AFTER_MS,
        Some(ms) if (SHORTEST_MS..=LONGEST_MS).contains(&ms) => ms,
        Some(_) => return Err(invalid("stale_after_ms", "it lies between one second and a year")),
    };
    // A struct always serialises, in the order of its fields.
    let said = serde_json::to_string(&(kind, id, origin, stale_after_ms, &spec)).unwrap_or_default();
    Ok(Said { kind, object_id: id.to_owned(), origin, spec, stale_after_ms, digest: text::sha256_hex(&said) })
}

pub fn valid_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
    // `.` and `..` would be steps of a path and not ids.
    (1..=ID).contains(&id.len()) && id.bytes().all(plain) && !matches!(id, "." | "..") && redacted(id) == id
}

fn invalid(field: &str, why: &str) -> Failure {
    Failure::of(Code::DeclarationInvalid).with("field", field).with("detail", format!("`{field}`: {why}"))
}

fn redacted(value: &str) -> String {
    redactor(None).text(value, &mut Counts::new()).into_owned()
}

/// Without secrets and without characters that move a cursor.
fn clean(value: &str) -> String {
    redacted(value.trim()).chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

fn prose(value: Option<&str>) -> Option<String> {
    let value = clean(text::non_blank(value)?);
    Some(text::truncate(value.trim(), TEXT)).filter(|value| !value.is_empty())
}

fn word(field: &str, value: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(value) = text::non_blank(value) else { return Ok(None) };
    // Judged as it was sent: redaction can make it shorter or longer.
    if value.len() > WORD {
        return Err(invalid(field, "a name has at most 300 bytes"));
    }
    Ok(Some(clean(value).replace('\n', " ")))
}

fn words(field: &str, values: Vec<String>, most: usize) -> Result<Vec<String>, Failure> {
    few(field, values.len(), most)?;
    let mut kept: Vec<String> = Vec::with_capacity(values.len());
    for value in values {
        if let Some(value) = word(field, Some(&value))?
            && !kept.contains(&value)
        {
            kept.push(value);
        }
    }
    Ok(kept)
}

fn few(field: &str, count: usize, most: usize) -> Result<(), Failure> {
    if count <= most { Ok(()) } else { Err(invalid(field, &format!("it has more than {most} entries"))) }
}

/// An address is reduced to its host; a path stays.
fn locator(value: &str) -> Option<String> {
    if value.contains("://") {
        return host(value);
    }
    prose(Some(value)).map(|path| path.replace('\n', " "))
}

fn host(address: &str) -> Option<String> {
    let url = Url::parse(address.trim()).ok()?;
    url.host_str().map(|host| text::truncate(&clean(host), WORD)).filter(|host| !host.is_empty())
}

/// The program of a command line: the first part that sets no variable, without its directories.
pub fn program(command: &str) -> Option<String> {
    let first = command.split_whitespace().find(|part| !part.contains('='))?;
    let name = first.trim_matches(['"', '\'']).rsplit(['/', '\\']).next().filter(|name| !name.is_empty())?;
    Some(text::truncate(&clean(name), WORD))
}

fn source(body: SourceBody) -> Result<PackSource, Failure> {
    Ok(PackSource {
        kind: body.kind.unwrap_or_default(),
        pack_id: word("source.pack_id", body.pack_id.as_deref())?,
        path: body.path.as_deref().and_then(locator),
    })
}

/// The names in an environment or in headers: keys of an object, or what stands before `=` or `:` in a list.
fn names(value: Option<&Value>) -> Vec<String> {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    match value {
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        Some(Value::Array(items)) => {
            let name = |item: &Value| item.as_str()?.split(['=', ':']).next().map(|name| name.trim().to_owned());
            items.iter().filter_map(name).filter(|name| plain(name)).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => Vec::new(),
    }
}

fn keys(field: &str, named: Vec<String>, values: [Option<&Value>; 2]) -> Result<Vec<String>, Failure> {
    let found: Vec<String> = named.into_iter().chain(values.into_iter().flat_map(names)).collect();
    let mut kept = words(field, found, KEYS)?;
    kept.sort_unstable();
    Ok(kept)
}

fn parameters(value: Option<&Value>, said: Option<bool>, named: Vec<String>) -> Result<(bool, Vec<String>), Failure> {
    // The entries of a list are values and have no names.
    let object = value.filter(|value| value.is_object());
    let kept = keys("parameter_keys", named, [object, None])?;
    let some = match value {
        None | Some(Value::Null) => said.unwrap_or(false),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => true,
    };
    Ok((some || !kept.is_empty(), kept))
}

fn steps(bodies: Vec<StepBody>) -> Result<Vec<Step>, Failure> {
    few("steps", bodies.len(), STEPS)?;
    let step = |(at, body): (usize, StepBody)| {
        let (has_parameters, parameter_keys) =
            parameters(body.parameters.as_ref(), body.has_parameters, body.parameter_keys)?;
        Ok(Step {
            step_id: word("steps.step_id", body.step_id.as_deref())?.unwrap_or_else(|| format!("step-{}", at + 1)),
            action: word("steps.action", body.action.as_deref())?.unwrap_or_default(),
            has_parameters,
            parameter_keys,
        })
    };
    bodies.into_iter().enumerate().map(step).collect()
}

fn hooks(bodies: Vec<HookBody>) -> Result<Vec<Hook>, Failure> {
    few("hooks", bodies.len(), HOOKS)?;
    let hook = |(at, body): (usize, HookBody)| {
        few("hooks.actions", body.actions.len(), ACTIONS)?;
        Ok(Hook {
            binding_id: word("hooks.binding_id", body.binding_id.as_deref())?
                .unwrap_or_else(|| format!("hook-{}", at + 1)),
            event: word("hooks.event", body.event.as_deref())?.unwrap_or_default(),
            enabled: body.enabled.unwrap_or(true),
            workflow_id: word("hooks.workflow_id", body.workflow_id.as_deref())?,
            actions: body.actions.into_iter().map(action).collect::<Result<_, _>>()?,
        })
    };
    bodies.into_iter().enumerate().map(hook).collect()
}

fn action(body: ActionBody) -> Result<HookAction, Failure> {
    let (has_parameters, parameter_keys) =
        parameters(body.parameters.as_ref(), body.has_parameters, body.parameter_keys)?;
    let action = word("hooks.actions.action", body.action.as_deref())?.unwrap_or_default();
    Ok(HookAction { action, has_parameters, parameter_keys })
}

fn servers(bodies: Vec<ServerBody>) -> Result<Vec<DeclaredServer>, Failure> {
    few("servers", bodies.len(), SERVERS)?;
    bodies.into_iter().map(server).collect()
}

fn server(body: ServerBody) -> Result<DeclaredServer, Failure> {
    let command = match &body.command {
        Some(Value::String(line)) => program(line),
        Some(Value::Array(parts)) => parts.first().and_then(Value::as_str).and_then(program),
        Some(_) | None => None,
    };
    let said = body.transport.as_deref().map(str::trim).map(str::to_ascii_lowercase);
    let transport = match said.as_deref() {
        Some("stdio" | "local") => "stdio",
        Some("sse") => "sse",
        Some("http" | "streamable-http" | "streamable_http" | "streamablehttp" | "remote") => "http",
        Some(_) | None if body.url.is_some() || (command.is_none() && is_address(body.target.as_deref())) => "http",
        Some(_) | None => "stdio",
    };
    let target = match (body.url.as_deref(), command, body.target.as_deref()) {
        (Some(url), _, _) => host(url),
        (None, Some(command), _) => Some(command),
        (None, None, Some(target)) if transport == "stdio" => program(target),
        (None, None, Some(target)) if is_address(Some(target)) => host(target),
        (None, None, Some(target)) => host(&format!("http://{}", target.trim())),
        (None, None, None) => None,
    };
    Ok(DeclaredServer {
        name: word("servers.name", body.name.as_deref())?.unwrap_or_default(),
        transport: transport.to_owned(),
        target,
        allowed_tools: body.allowed_tools.map(|tools| words("servers.allowed_tools", tools, TOOLS)).transpose()?,
        secret_keys: keys("servers.secret_keys", body.secret_keys, [body.env.as_ref(), body.headers.as_ref()])?,
    })
}

fn is_address(target: Option<&str>) -> bool {
    target.is_some_and(|target| target.contains("://"))
}

fn related(values: Vec<String>) -> Result<Vec<String>, Failure> {
    let kept = words("related", values, RELATED)?;
    let known = |entry: &String| {
        entry.split_once(':').is_some_and(|(kind, id)| DeclaredKind::from_word(kind).is_some() && valid_id(id))
    };
    match kept.iter().all(known) {
        true => Ok(kept),
        false => Err(invalid("related", "an entry is `<kind>:<id>`, as in `agent:planner`")),
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
